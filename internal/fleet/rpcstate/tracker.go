// SPDX-License-Identifier: MPL-2.0

package rpcstate

// Side is an end of a connection.
type Side int

// The ends of a connection.
const (
	Client Side = iota
	Server
)

func (s Side) peer() Side { return 1 - s }

// The discriminants of rpc.capnp's Message that matter.
const (
	msgCall       = 2
	msgReturn     = 3
	msgFinish     = 4
	msgResolve    = 5
	msgRelease    = 6
	msgBootstrap  = 8
	msgDisembargo = 13
)

// Tracker counts what the sides of a connection hold of each other. The zero
// value is a fresh connection. It is not safe for concurrent use.
type Tracker struct {
	sides [2]side
	// bootstrap is the server's export that the client got by Bootstrap; it may keep
	// it for as long as the connection lasts.
	bootstrap    uint32
	bootstrapped bool
	// opaque: something was not understood, so the connection never is at rest again.
	opaque bool
}

type side struct {
	questions map[uint32]*question // that this side has asked
	exports   map[uint32]int64     // references to its capabilities that the peer holds
}

// question is a call from its first message until both sides have let go of it.
type question struct {
	params, results    []uint32 // exports in them
	bootstrap          bool
	returned, finished bool
	releaseResults     bool // by Finish
	pipelineOnly       bool // needs no Return
}

// AtRest reports whether neither side awaits or holds anything, but for the
// client one reference to the server's bootstrap capability. The state is then that of a
// fresh connection, after a Bootstrap if Bootstrapped says so.
func (t *Tracker) AtRest() bool {
	if t.opaque || len(t.sides[Client].questions) > 0 || len(t.sides[Server].questions) > 0 || len(t.sides[Client].exports) > 0 {
		return false
	}
	held := t.sides[Server].exports
	return len(held) == 0 || len(held) == 1 && t.bootstrapped && held[t.bootstrap] == 1
}

// Bootstrapped returns the export by which the client knows the server's
// bootstrap capability, if it holds one.
func (t *Tracker) Bootstrapped() (export uint32, ok bool) {
	return t.bootstrap, t.bootstrapped && t.sides[Server].exports[t.bootstrap] > 0
}

// Message follows one message that from has sent.
func (t *Tracker) Message(from Side, b []byte) {
	if t.opaque {
		return
	}
	if err := t.message(from, b); err != nil || t.tracked() > maxTracked {
		t.opaque = true
	}
}

// maxTracked bounds the memory for a connection: an honest one has a few objects
// at a time, and one that has more is as well off without being followed.
const maxTracked = 1 << 12

func (t *Tracker) tracked() (n int) {
	for _, s := range t.sides {
		n += len(s.questions) + len(s.exports)
	}
	return n
}

func (t *Tracker) message(from Side, b []byte) error {
	m, err := parse(b)
	if err != nil {
		return err
	}
	root, err := m.root()
	if err != nil {
		return err
	}
	body, err := root.child(0)
	if err != nil {
		return err
	}
	switch root.u16(0) {
	case msgBootstrap:
		return t.ask(from, body.u32(0), &question{bootstrap: from == Client})
	case msgCall:
		const onlyPromisePipeline = 130
		caps, err := payloadCaps(body, 1)
		if err != nil {
			return err
		}
		t.export(from, caps)
		return t.ask(from, body.u32(0), &question{params: caps, pipelineOnly: body.bit(onlyPromisePipeline)})
	case msgReturn:
		return t.answer(from, body)
	case msgFinish:
		const keepResultCaps = 32 // releaseResultCaps, whose default is true
		return t.finish(from, body.u32(0), !body.bit(keepResultCaps))
	case msgResolve:
		c, err := body.child(0)
		if err != nil {
			return err
		}
		const isException = 1
		if id, ok := exported(c); ok && body.u16(4) != isException {
			t.export(from, []uint32{id})
		}
		return nil
	case msgDisembargo:
		return nil // about capabilities that are counted as long as they matter
	case msgRelease:
		return t.release(from.peer(), body.u32(0), int64(body.u32(4)))
	}
	return errMalformed // aborts, three-party calls
}

func (t *Tracker) export(by Side, ids []uint32) {
	s := &t.sides[by]
	if s.exports == nil {
		s.exports = map[uint32]int64{}
	}
	for _, id := range ids {
		s.exports[id]++
	}
}

// release takes back references to an export; more than there are means that we
// have miscounted.
func (t *Tracker) release(by Side, id uint32, count int64) error {
	s := &t.sides[by]
	left := s.exports[id] - count
	switch {
	case left < 0:
		return errMalformed
	case left == 0:
		delete(s.exports, id)
	default:
		s.exports[id] = left
	}
	return nil
}

func (t *Tracker) releaseAll(by Side, ids []uint32) error {
	for _, id := range ids {
		if err := t.release(by, id, 1); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tracker) ask(from Side, id uint32, q *question) error {
	s := &t.sides[from]
	if s.questions == nil {
		s.questions = map[uint32]*question{}
	}
	if s.questions[id] != nil {
		return errMalformed
	}
	s.questions[id] = q
	return nil
}

func (t *Tracker) answer(from Side, body structure) error {
	const (
		keepParamCaps  = 32 // releaseParamCaps, whose default is true
		noFinishNeeded = 33
		isResults      = 0
	)
	asker := from.peer()
	id := body.u32(0)
	q := t.sides[asker].questions[id]
	if q == nil {
		return nil // to a question that needed none
	}
	q.returned = true
	if !body.bit(keepParamCaps) {
		if err := t.releaseAll(asker, q.params); err != nil {
			return err
		}
	}
	if body.u16(6) == isResults {
		caps, err := payloadCaps(body, 0)
		if err != nil {
			return err
		}
		q.results = caps
		t.export(from, caps)
		if q.bootstrap && len(caps) == 1 {
			t.bootstrap, t.bootstrapped = caps[0], true
		}
	}
	if body.bit(noFinishNeeded) {
		q.finished = true
	}
	return t.settle(asker, id, q)
}

func (t *Tracker) finish(from Side, id uint32, releaseResults bool) error {
	q := t.sides[from].questions[id]
	if q == nil {
		return nil // one that needed no Finish
	}
	q.finished, q.releaseResults = true, releaseResults
	return t.settle(from, id, q)
}

// settle forgets a question that both sides are done with.
func (t *Tracker) settle(asker Side, id uint32, q *question) error {
	if !q.finished || !q.returned && !q.pipelineOnly {
		return nil
	}
	delete(t.sides[asker].questions, id)
	if q.releaseResults {
		return t.releaseAll(asker.peer(), q.results)
	}
	return nil
}

// payloadCaps lists the capabilities that the Payload at the n-th pointer exports.
func payloadCaps(s structure, n int) ([]uint32, error) {
	payload, err := s.child(n)
	if err != nil {
		return nil, err
	}
	table, err := payload.list(1)
	if err != nil {
		return nil, err
	}
	var caps []uint32
	for _, c := range table {
		if id, ok := exported(c); ok {
			caps = append(caps, id)
		}
	}
	return caps, nil
}

// exported gives the export to which a CapDescriptor adds a reference.
func exported(c structure) (id uint32, ok bool) {
	const senderHosted, senderPromise = 1, 2
	kind := c.u16(0)
	return c.u32(4), kind == senderHosted || kind == senderPromise
}
