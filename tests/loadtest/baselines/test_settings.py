"""A baseline's processes read the settings from their environment."""

from loadtest.baselines.settings import Settings, read_settings


def test_settings_reach_other_processes(monkeypatch):
    settings = Settings(workers=1, threads=1, at_once=2, wait=0.01, root="/repository")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert read_settings() == settings
