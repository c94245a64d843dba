# The machine makes its own key, which never leaves it, and says whom to encrypt its file for.
"$hybridge" agent enroll --key "$root@CONFIGDIR@/age-identity" --secrets "$root@CONFIGDIR@/secrets.enc.yaml" ||
	fail "installed, and not started: bring another $root@CONFIGDIR@/secrets.enc.yaml, and repeat this"
if [ ! -f "$root@CONFIGDIR@/secrets.enc.yaml" ]; then
	say "installed, and not started: the SOPS file is not on this machine yet. Bring it, and repeat this:"
	say "  ssh MACHINE sudo install -m 0640 -g hybridge /dev/stdin @CONFIGDIR@/secrets.enc.yaml <secrets.enc.yaml"
	exit 0
fi
