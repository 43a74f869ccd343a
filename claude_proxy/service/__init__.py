"""The service: files for the user's service manager (systemd, launchd), written, started, stopped and removed."""
