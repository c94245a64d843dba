// SPDX-License-Identifier: MPL-2.0

package ledger

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// monthForm names a month's log.
const monthForm = "2006-01"

// maxCheckpointBytes bounds what is parsed as a checkpoint.
const maxCheckpointBytes = 4 << 10

// Checkpoint is a signed head of a month's log.
type Checkpoint struct {
	Text   string // the signed note
	Origin string // the key's name, a slash, and the month
	Month  string
	Size   int64
	Hash   tlog.Hash
}

// signCheckpoint signs the head of a month's log (C2SP tlog-checkpoint).
func signCheckpoint(signer note.Signer, month string, size int64, root tlog.Hash) (Checkpoint, error) {
	c := Checkpoint{Origin: signer.Name() + "/" + month, Month: month, Size: size, Hash: root}
	text, err := note.Sign(&note.Note{Text: c.body()}, signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("signing a checkpoint: %w", err)
	}
	c.Text = string(text)
	return c, nil
}

func (c Checkpoint) body() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Hash[:]) + "\n"
}

// ParseCheckpoint reads a checkpoint that verifier has signed. It takes exactly the
// bytes that this package writes: one signature, no extension lines, and no second
// way to write the same.
func ParseCheckpoint(text string, verifier note.Verifier) (Checkpoint, error) {
	if len(text) > maxCheckpointBytes {
		return Checkpoint{}, errors.New("it is too long for a checkpoint")
	}
	n, err := note.Open([]byte(text), note.VerifierList(verifier))
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return Checkpoint{}, fmt.Errorf("it is not signed by the key %s", verifier.Name())
	}
	if err != nil {
		return Checkpoint{}, err
	}
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return Checkpoint{}, errors.New("a checkpoint has one signature")
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64); err != nil {
		return Checkpoint{}, errors.New("its signature is not canonical base64")
	}
	if want := n.Text + "\n— " + n.Sigs[0].Name + " " + n.Sigs[0].Base64 + "\n"; want != text {
		return Checkpoint{}, errors.New("it is not written as a checkpoint is")
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 {
		return Checkpoint{}, errors.New("a checkpoint has three lines")
	}
	c := Checkpoint{Text: text, Origin: lines[0]}
	month, ok := strings.CutPrefix(c.Origin, verifier.Name()+"/")
	if _, err := time.Parse(monthForm, month); !ok || err != nil {
		return Checkpoint{}, fmt.Errorf("its origin %q is no month of %s", c.Origin, verifier.Name())
	}
	c.Month = month
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 1 {
		return Checkpoint{}, errors.New("its size is no number of entries")
	}
	if c.Hash, err = tlog.ParseHash(lines[2]); err != nil {
		return Checkpoint{}, errors.New("its hash is none")
	}
	if c.body() != n.Text {
		return Checkpoint{}, errors.New("it is not written as a checkpoint is")
	}
	return c, nil
}

// checkpointLine is a checkpoint as the file of checkpoints has it, with its line feed.
func checkpointLine(c Checkpoint) []byte {
	line, _ := json.Marshal(c.Text) // a string always has JSON
	return append(line, '\n')
}

// parseCheckpointLine reads a line of the file of checkpoints, without its line feed.
func parseCheckpointLine(line []byte, month string, verifier note.Verifier) (Checkpoint, error) {
	var text string
	if err := json.Unmarshal(line, &text); err != nil {
		return Checkpoint{}, errors.New("it is no JSON string")
	}
	c, err := ParseCheckpoint(text, verifier)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Month != month {
		return Checkpoint{}, fmt.Errorf("it is of the month %s", c.Month)
	}
	if string(checkpointLine(c)) != string(line)+"\n" {
		return Checkpoint{}, errors.New("it is not written as a checkpoint is")
	}
	return c, nil
}
