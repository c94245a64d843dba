#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Makes the agent's user, and takes over a new unit. It starts nothing: a machine without
# /etc/hybridge/agent.yaml has nothing to run, and one that has it restarts the agent when
# its operator says so.
set -e
root=${DPKG_ROOT:-}
if [ -z "$root" ]; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers hybridge.conf
	elif ! getent passwd hybridge >/dev/null; then
		useradd --system --user-group --home-dir /var/lib/hybridge --no-create-home --shell /usr/sbin/nologin hybridge
	fi
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
	fi
fi
exit 0
