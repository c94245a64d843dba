// SPDX-License-Identifier: MPL-2.0

package rpcstate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// widest remembers the largest piece that was asked for at a time.
type widest struct {
	r    io.Reader
	most int
}

func (w *widest) Read(p []byte) (int, error) {
	w.most = max(w.most, len(p))
	return w.r.Read(p)
}

func TestMemoryGrowsWithWhatHasComeNotWithWhatIsClaimed(t *testing.T) {
	t.Parallel()
	head := make([]byte, word)
	binary.LittleEndian.PutUint32(head[4:], MaxMessage/word-1)
	r := &widest{r: bytes.NewReader(head)}
	if _, err := ReadMessage(r, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if r.most > minBuffer {
		t.Errorf("made room for %d bytes before one had come", r.most)
	}
	whole := append(head, bytes.Repeat([]byte("datadata"), MaxMessage/word-1)...)
	got, err := ReadMessage(bytes.NewReader(whole), nil)
	if err != nil || !bytes.Equal(got, whole) {
		t.Errorf("the largest message came as %d bytes, %v", len(got), err)
	}
	binary.LittleEndian.PutUint32(head[4:], MaxMessage/word)
	if _, err := ReadMessage(bytes.NewReader(head), nil); !errors.Is(err, errMalformed) {
		t.Errorf("a message above the limit: %v", err)
	}
}

func TestAConnectionThatPilesUpObjectsIsNotFollowedForEver(t *testing.T) {
	t.Parallel()
	var questions, capabilities Tracker
	for id := range uint64(2 * maxTracked) {
		questions.Message(Client, call(id))
	}
	if n := questions.tracked(); !questions.opaque || n > maxTracked+1 {
		t.Errorf("%d questions are followed", n)
	}
	capabilities.Message(Client, call(1, make([]uint64, 2*maxTracked)...))
	if n := capabilities.tracked(); !capabilities.opaque || n > maxTracked+1 {
		t.Errorf("%d objects are followed after a message with too many capabilities", n)
	}
	if questions.AtRest() || capabilities.AtRest() {
		t.Error("what is not followed must never count as at rest")
	}
}
