#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# The data directory and the user stay: they hold the plane's state and who it belongs to.
set -e
if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
exit 0
