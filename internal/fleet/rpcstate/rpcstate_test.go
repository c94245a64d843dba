// SPDX-License-Identifier: MPL-2.0

package rpcstate

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

const oneWord = 1 << 32 // a struct pointer to data right behind

// body is a message whose body has the given data words and no pointers.
func body(kind uint64, data ...uint64) []byte {
	words := []uint64{oneWord | onePointerBit, kind, uint64(len(data)) << 32}
	return encode(append(words, data...)...)
}

const onePointerBit = 1 << 48

// payload is a message whose body has data words and, as pointer number at of
// pointers, a Payload that exports caps.
func payload(kind uint64, data []uint64, at, pointers int, caps ...uint64) []byte {
	words := []uint64{oneWord | onePointerBit, kind, uint64(len(data))<<32 | uint64(pointers)<<48}
	words = append(words, data...)
	for i := range pointers {
		var p uint64
		if i == at {
			// The payload struct (no data, two pointers) lies behind the last pointer.
			p = uint64(pointers-1-i)<<2 | 2<<48
		}
		words = append(words, p)
	}
	words = append(words, 0) // content: null
	words = append(words, 1|uint64(7)<<32|uint64(2*len(caps))<<35)
	words = append(words, uint64(len(caps))<<2|1<<32|1<<48)
	for _, id := range caps {
		const senderHosted = 1
		words = append(words, senderHosted|id<<32, 0)
	}
	return encode(words...)
}

func call(id uint64, caps ...uint64) []byte {
	return payload(msgCall, []uint64{id, 0, 0}, 1, 3, caps...)
}
func results(id uint64, flags uint64, caps ...uint64) []byte {
	return payload(msgReturn, []uint64{id | flags<<32, 0}, 0, 1, caps...)
}
func finish(id uint64, flags uint64) []byte { return body(msgFinish, id|flags<<32) }
func release(id, count uint64) []byte       { return body(msgRelease, id|count<<32) }

// cut takes the last word from a message.
func cut(b []byte) []byte {
	b = bytes.Clone(b[:len(b)-word])
	b[4]--
	return b
}

const keep = 1 // the first flag: releaseParamCaps or releaseResultCaps = false

type step struct {
	from Side
	msg  []byte
	rest bool // afterwards
}

func TestAConnectionIsAtRestWhenNobodyHoldsAnything(t *testing.T) {
	t.Parallel()
	ask, accept := Bootstrap()
	booted := []step{{Client, ask, false}, {Server, results(0, 0, 0), false}, {Client, accept, true}}
	for name, steps := range map[string][]step{
		"a fresh connection": {},
		"bootstrap":          booted,
		"a call without capabilities": append(booted[:3:3],
			step{Client, call(1), false}, step{Server, results(1, 0), false}, step{Client, finish(1, 0), true}),
		"Finish before Return": append(booted[:3:3],
			step{Client, call(1), false}, step{Client, finish(1, 0), false}, step{Server, results(1, 0, 5), true}),
		"a stub that the caller keeps": append(booted[:3:3],
			step{Client, call(1), false}, step{Server, results(1, 0, 5), false}, step{Client, finish(1, keep), false},
			step{Client, release(5, 1), true}),
		"a callback that the callee keeps": append(booted[:3:3],
			step{Client, call(1, 9), false}, step{Server, results(1, keep), false}, step{Client, finish(1, 0), false},
			step{Server, call(0), false}, step{Client, results(0, 0), false}, step{Server, finish(0, 0), false},
			step{Server, release(9, 1), true}),
		"a callback that ends with the call": append(booted[:3:3],
			step{Client, call(1, 9), false}, step{Server, results(1, 0), false}, step{Client, finish(1, 0), true}),
		"no Finish needed": append(booted[:3:3],
			step{Client, call(1), false}, step{Server, results(1, 2), true}, step{Client, finish(1, 0), true}),
		"two calls at once": append(booted[:3:3],
			step{Client, call(1), false}, step{Client, call(2), false}, step{Server, results(2, 0), false},
			step{Client, finish(2, 0), false}, step{Server, results(1, 0), false}, step{Client, finish(1, 0), true}),
		"a call for its pipeline alone": append(booted[:3:3],
			step{Client, payload(msgCall, []uint64{1, 0, 4}, 1, 3), false}, step{Client, finish(1, 0), true}),
		"two references to one stub": append(booted[:3:3],
			step{Client, call(1), false}, step{Server, results(1, 0, 5, 5), false}, step{Client, finish(1, keep), false},
			step{Client, release(5, 1), false}, step{Client, release(5, 1), true}),
		"an abort":               append(booted[:3:3], step{Server, body(1), false}),
		"a release too many":     append(booted[:3:3], step{Client, release(5, 1), false}),
		"a question asked twice": append(booted[:3:3], step{Client, call(1), false}, step{Client, call(1), false}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tr Tracker
			if !tr.AtRest() {
				t.Fatal("a fresh connection is not at rest")
			}
			for i, s := range steps {
				tr.Message(s.from, s.msg)
				if got := tr.AtRest(); got != s.rest {
					t.Fatalf("step %d: at rest = %v, want %v (%+v)", i, got, s.rest, tr)
				}
			}
			if id, ok := tr.Bootstrapped(); ok != (len(steps) > 0) || id != 0 {
				t.Errorf("Bootstrapped = %d, %v", id, ok)
			}
		})
	}
}

func TestWhatIsNotUnderstoodNeverRestsAgain(t *testing.T) {
	t.Parallel()
	for name, msg := range map[string][]byte{
		"nothing":                 {},
		"a segment too short":     encode(oneWord|onePointerBit, msgCall)[:12],
		"a pointer to nowhere":    encode(100<<2|oneWord|onePointerBit, msgCall),
		"a list beyond the end":   cut(call(1, 9)),
		"a three-party provision": body(10, 0),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tr Tracker
			tr.Message(Client, msg)
			if tr.AtRest() {
				t.Error("at rest")
			}
			tr.Message(Client, release(0, 0))
			if tr.AtRest() {
				t.Error("at rest again")
			}
		})
	}
}

func TestFarPointersLeadToOtherSegments(t *testing.T) {
	t.Parallel()
	// Segment 0: a far pointer to the root in segment 1; there Message and Finish.
	far := []uint64{2 | 1<<32}
	rest := []uint64{oneWord | onePointerBit, msgFinish, oneWord, 7}
	whole := encode(append(far, rest...)...)
	b := append([]byte{1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0}, whole[8:]...)
	m, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	root, err := m.root()
	if err != nil || root.u16(0) != msgFinish {
		t.Fatalf("root kind %d, %v", root.u16(0), err)
	}
	if c, err := root.child(0); err != nil || c.u32(0) != 7 {
		t.Errorf("question %d, %v", c.u32(0), err)
	}
}

func TestMessagesAreReadOneByOne(t *testing.T) {
	t.Parallel()
	one, two := call(1, 2, 3), finish(1, 0)
	r := bytes.NewReader(append(bytes.Clone(one), two...))
	var buf []byte
	for _, want := range [][]byte{one, two} {
		got, err := ReadMessage(r, buf)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("read %x, %v, want %x", got, err, want)
		}
		buf = got
	}
	if _, err := ReadMessage(r, buf); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("at the end: %v", err)
	}
	if _, err := ReadMessage(bytes.NewReader(one[:len(one)-1]), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut message: %v", err)
	}
	if _, err := ReadMessage(bytes.NewReader([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}), nil); !errors.Is(err, errMalformed) {
		t.Errorf("a message of 32 GiB: %v", err)
	}
}

func FuzzTrackerSurvivesAnything(f *testing.F) {
	ask, accept := Bootstrap()
	for _, b := range [][]byte{ask, accept, call(1, 2), results(1, 0, 3), release(1, 1), {}} {
		f.Add(b, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, client bool) {
		var tr Tracker
		from := Server
		if client {
			from = Client
		}
		if msg, err := ReadMessage(bytes.NewReader(b), nil); err == nil {
			tr.Message(from, msg)
		}
		tr.Message(from, b)
	})
}
