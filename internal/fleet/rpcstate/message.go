// SPDX-License-Identifier: MPL-2.0

// Package rpcstate follows a Cap'n Proto RPC connection from outside, so that a
// proxy knows when neither side holds anything of the other: then, and only
// then, the server can be exchanged without the client noticing.
//
// It reads just enough of the protocol for that:
// https://capnproto.org/encoding.html and rpc.capnp.
package rpcstate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	word = 8
	// MaxMessage bounds a message in bytes; workerd's own limit for JavaScript RPC
	// is half of that.
	MaxMessage = 64 << 20
	// maxSegments is what Cap'n Proto's own implementation accepts.
	maxSegments = 512
	minBuffer   = 64 << 10
)

var errMalformed = errors.New("malformed Cap'n Proto message")

// ReadMessage reads one message as it is on the wire into buf, which it may
// replace. io.EOF means that the stream ended between two messages.
func ReadMessage(r io.Reader, buf []byte) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	segments := int64(binary.LittleEndian.Uint32(head[:])) + 1
	if segments > maxSegments {
		return nil, fmt.Errorf("%w: %d segments", errMalformed, segments)
	}
	table := tableSize(int(segments))
	buf = append(buf[:0], head[:]...)
	buf = grow(buf, table)
	if _, err := io.ReadFull(r, buf[4:]); err != nil {
		return nil, noEOF(err)
	}
	size := int64(table)
	for i := range segments {
		size += int64(binary.LittleEndian.Uint32(buf[4+4*i:])) * word
	}
	if size > MaxMessage {
		return nil, fmt.Errorf("%w: %d bytes", errMalformed, size)
	}
	// What a message claims to be is no reason to have memory for it: that grows
	// with what has come.
	for int64(len(buf)) < size {
		from := len(buf)
		buf = grow(buf, int(min(size, max(int64(cap(buf)), int64(2*from), minBuffer))))
		if _, err := io.ReadFull(r, buf[from:]); err != nil {
			return nil, noEOF(err)
		}
	}
	return buf, nil
}

// tableSize is the length of the segment table, padded to a word.
func tableSize(segments int) int { return (4 + 4*segments + word - 1) / word * word }

func grow(b []byte, n int) []byte {
	if cap(b) >= n {
		return b[:n]
	}
	return append(b, make([]byte, n-len(b))...)
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// message gives access to the segments of one message.
type message [][]byte

func parse(b []byte) (message, error) {
	if len(b) < word {
		return nil, errMalformed
	}
	n := int64(binary.LittleEndian.Uint32(b)) + 1
	if n > maxSegments || len(b) < tableSize(int(n)) {
		return nil, errMalformed
	}
	m := make(message, n)
	rest := b[tableSize(int(n)):]
	for i := range m {
		size := int64(binary.LittleEndian.Uint32(b[4+4*i:])) * word
		if size > int64(len(rest)) {
			return nil, errMalformed
		}
		m[i], rest = rest[:size], rest[size:]
	}
	return m, nil
}

// structure is a struct's data and pointers. Reading beyond either gives zeros,
// as the encoding wants it.
type structure struct {
	m              message
	segment        int
	data, pointers int // byte offsets in the segment
	dataEnd, end   int
}

func (s structure) u16(offset int) uint16 {
	if s.data+offset+2 > s.dataEnd {
		return 0
	}
	return binary.LittleEndian.Uint16(s.m[s.segment][s.data+offset:])
}

func (s structure) u32(offset int) uint32 {
	if s.data+offset+4 > s.dataEnd {
		return 0
	}
	return binary.LittleEndian.Uint32(s.m[s.segment][s.data+offset:])
}

func (s structure) bit(n int) bool {
	if s.data+n/8 >= s.dataEnd {
		return false
	}
	return s.m[s.segment][s.data+n/8]&(1<<(n%8)) != 0
}

// root is the message's root struct.
func (m message) root() (structure, error) { return m.structAt(0, 0) }

// child is the struct that the n-th pointer points to; the zero structure for null.
func (s structure) child(n int) (structure, error) {
	at := s.pointers + n*word
	if s.m == nil || at+word > s.end {
		return structure{}, nil
	}
	return s.m.structAt(s.segment, at)
}

// list gives the elements of the struct list that the n-th pointer points to.
func (s structure) list(n int) ([]structure, error) {
	at := s.pointers + n*word
	if s.m == nil || at+word > s.end {
		return nil, nil
	}
	segment, base, p, err := s.m.follow(s.segment, at)
	if err != nil || p == 0 {
		return nil, err
	}
	const compositeList = 7
	if p&3 != 1 || p>>32&7 != compositeList {
		return nil, errMalformed
	}
	words := int64(p >> 35)
	if base+word > int64(len(s.m[segment])) {
		return nil, errMalformed
	}
	tag := binary.LittleEndian.Uint64(s.m[segment][base:])
	count := int64(uint32(tag) >> 2)
	dataWords, ptrWords := int64(tag>>32&0xffff), int64(tag>>48)
	size := (dataWords + ptrWords) * word
	// A list of empty structs costs nothing on the wire, so its length is no proof
	// of anything; a capability descriptor is never empty.
	if tag&3 != 0 || size == 0 && count > 0 || count > maxTracked || count*(dataWords+ptrWords) > words || base+word+words*word > int64(len(s.m[segment])) {
		return nil, errMalformed
	}
	out := make([]structure, count)
	for i := range out {
		data := int(base + word + int64(i)*size)
		out[i] = structure{m: s.m, segment: segment, data: data, dataEnd: data + int(dataWords*word),
			pointers: data + int(dataWords*word), end: data + int(size)}
	}
	return out, nil
}

func (m message) structAt(segment, at int) (structure, error) {
	segment, base, p, err := m.follow(segment, at)
	if err != nil || p == 0 {
		return structure{}, err
	}
	if p&3 != 0 {
		return structure{}, errMalformed
	}
	dataEnd := base + int64(p>>32&0xffff)*word
	end := dataEnd + int64(p>>48)*word
	if base < 0 || end > int64(len(m[segment])) {
		return structure{}, errMalformed
	}
	return structure{m: m, segment: segment, data: int(base), dataEnd: int(dataEnd), pointers: int(dataEnd), end: int(end)}, nil
}

// follow reads the pointer at a byte offset, through far pointers if it is one.
// It returns where the object starts and the pointer that describes it.
func (m message) follow(segment, at int) (int, int64, uint64, error) {
	load := func(segment int, at int64) (uint64, error) {
		if segment >= len(m) || at < 0 || at+word > int64(len(m[segment])) {
			return 0, errMalformed
		}
		return binary.LittleEndian.Uint64(m[segment][at:]), nil
	}
	p, err := load(segment, int64(at))
	if err != nil || p == 0 {
		return 0, 0, 0, err
	}
	const far = 2
	if p&3 != far {
		return m.near(segment, int64(at), p)
	}
	double, pad, padSegment := p&4 != 0, int64(uint32(p)>>3)*word, int(p>>32)
	landing, err := load(padSegment, pad)
	if err != nil {
		return 0, 0, 0, err
	}
	if !double {
		if landing&3 == far || landing == 0 {
			return 0, 0, 0, errMalformed
		}
		return m.near(padSegment, pad, landing)
	}
	// A double-far landing pad: where the object is, then what it is.
	tag, err := load(padSegment, pad+word)
	if err != nil || landing&7 != far || tag&3 == far {
		return 0, 0, 0, errMalformed
	}
	segment, base := int(landing>>32), int64(uint32(landing)>>3)*word
	if segment >= len(m) || base > int64(len(m[segment])) {
		return 0, 0, 0, errMalformed
	}
	return segment, base, tag, nil
}

// near finds what a struct or list pointer at a byte offset points to.
func (m message) near(segment int, at int64, p uint64) (int, int64, uint64, error) {
	base := at + word + int64(int32(uint32(p))>>2)*word
	if base < 0 || base > int64(len(m[segment])) {
		return 0, 0, 0, errMalformed
	}
	return segment, base, p, nil
}
