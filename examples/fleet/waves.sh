#!/bin/sh
# Applies the customers that waves/1 names, then those of waves/2, then all others, five at a time. A
# wave that fails ends it: no later one is begun. Run it again when the reason is gone; where nothing is to
# do, nothing is done.
#
#   customers/NAME/   a configuration each
#   waves/1, waves/2  names, one a line
#   logs/NAME         what Terraform said
set -eu
terraform=${TERRAFORM:-terraform}
size=${WAVE_SIZE:-5}

# apply CUSTOMER is good when nothing is left to do after it. What is applied is what was planned.
apply() {
	cd "customers/$1"
	"$terraform" init -input=false -no-color -lockfile=readonly
	"$terraform" plan -input=false -no-color -out=wave.plan
	"$terraform" apply -input=false -no-color wave.plan
	rm -f wave.plan
	"$terraform" plan -input=false -no-color -detailed-exitcode
}

wave() {
	[ $# -gt 0 ] || return 0
	echo "wave: $*"
	running=
	for customer in "$@"; do
		(apply "$customer") >"logs/$customer" 2>&1 &
		running="$running $customer:$!"
	done
	failed=
	for one in $running; do
		wait "${one#*:}" || failed="$failed ${one%%:*}"
	done
	if [ -n "$failed" ]; then
		echo "the wave failed for:$failed (see logs/); no later wave was begun" >&2
		exit 1
	fi
}

mkdir -p logs
done=
for file in waves/1 waves/2; do
	names=$(cat "$file")
	# shellcheck disable=SC2086 # names have no blanks
	wave $names
	done="$done $names"
done
batch=
count=0
for path in customers/*/; do
	customer=$(basename "$path")
	case " $(echo "$done" | tr '\n' ' ') " in *" $customer "*) continue ;; esac
	batch="$batch $customer"
	count=$((count + 1))
	if [ "$count" -eq "$size" ]; then
		# shellcheck disable=SC2086
		wave $batch
		batch=
		count=0
	fi
done
# shellcheck disable=SC2086
[ -z "$batch" ] || wave $batch
