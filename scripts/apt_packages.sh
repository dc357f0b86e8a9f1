#!/bin/sh
# The Debian packages that slow tests use, where this is root and there is apt-get; without them those tests are skipped.
packages="debootstrap"
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $packages >/dev/null
