// SPDX-License-Identifier: MPL-2.0

// Package traffic counts what the versions of Workers answered, and remembers
// when: Counters are what the ingress counts into, a Recorder keeps what they
// gained in each second, so that a gate can ask about the time of its step.
//
// Counters belong to a version and not to a process: they survive restarts, and
// a version that leaves a deployment and comes back goes on where it was.
package traffic

import "time"

// Outcome is how an invocation of a version ended.
type Outcome uint8

// The outcomes. Their names are those that Cloudflare's dimension "status" has.
const (
	// Success is an answer of the Worker's own, whatever its status: a Worker that
	// returns 500 on purpose has not failed.
	Success Outcome = iota
	// ScriptThrew is an exception that the Worker did not catch, or a promise of a
	// response that nothing could ever fulfil.
	ScriptThrew
	// InternalError is no answer or only a part of one: the process died, hung until
	// it was killed, or could not be reached; or the response's body threw after
	// its header had gone out, which looks the same from outside.
	InternalError
	// ClientDisconnected is a client that did not wait for the whole answer, or broke
	// off its request. It says nothing about the version.
	ClientDisconnected

	// NumOutcomes is how many outcomes there are.
	NumOutcomes = int(iota)
)

var outcomeNames = [NumOutcomes]string{"success", "scriptThrewException", "internalError", "clientDisconnected"}

func (o Outcome) String() string { return outcomeNames[o] }

// Failed reports whether Cloudflare counts the outcome under "errors".
func (o Outcome) Failed() bool { return o == ScriptThrew || o == InternalError }

// Key says whose traffic it is.
type Key struct {
	AccountID string
	WorkerID  string
	VersionID string
}

// Tally is what was counted of one outcome.
type Tally struct {
	Requests uint64
	// ServerErrors are the answers with a status of 500 or above as the client got
	// them, the ingress's own included. Not every one is a failure, nor the reverse.
	ServerErrors uint64
	Latencies    Histogram
}

// Add adds u to t.
func (t *Tally) Add(u *Tally) {
	t.Requests += u.Requests
	t.ServerErrors += u.ServerErrors
	for i, n := range u.Latencies {
		t.Latencies[i] += n
	}
}

// Totals is all that was counted since the counters were made.
type Totals struct {
	Outcomes [NumOutcomes]Tally
	// Marked are the requests that chose their version by a preview URL or by a
	// version override. They are in nothing else.
	Marked [NumOutcomes]uint64
	// Time is how long all the requests in Outcomes took together.
	Time time.Duration
}
