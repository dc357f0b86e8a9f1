#!/bin/sh
# The Debian packages that slow tests use, where this is root and there is apt-get; without them those tests are skipped.
packages="debootstrap ffmpeg gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good
gstreamer1.0-plugins-ugly python3-gi"
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $packages >/dev/null
