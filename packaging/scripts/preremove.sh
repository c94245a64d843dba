#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Ends the agent when the package goes, not when it is upgraded: deb says "remove" then, rpm 0.
set -e
case ${1:-} in
remove | 0)
	if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
		systemctl disable --now hybridge-agent.service
	fi
	;;
esac
exit 0
