// SPDX-License-Identifier: MPL-2.0

// Package audit says what an entry of the ledger means: events with an envelope as in
// CloudEvents 1.0, a catalogue of their types with the class of every field, and what
// of them is written into a leaf, as a token, or only committed to.
package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/hybridge/terraform-provider-hybridge/internal/ledger"
)

// Event is something that happened, or is about to.
type Event struct {
	// ID is unique, and what a receiver knows duplicates by. "" gets one (UUIDv7).
	ID string
	// Source is who says it: "/provider", "/planes/paris". It names no person.
	Source string
	// Subject is what it is about, in short: "worker/api".
	Subject string
	// Time is when it happened. Zero is now.
	Time time.Time
	Data Data
}

// Type is CloudEvents' type.
func (e Event) Type() string { return e.Data.eventType() }

// withDefaults gives an event an id and a time.
func (e Event) withDefaults() (Event, error) {
	if e.Data == nil {
		return e, fmt.Errorf("an event has data")
	}
	if e.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return e, fmt.Errorf("making an id: %w", err)
		}
		e.ID = id.String()
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	return e, nil
}

// Receipt says where an event was recorded.
type Receipt struct {
	ID string
	At ledger.Position
}

// Log records events. Record returns without error only when the event is durable:
// what is audited MUST NOT be done before. A plane's log is its API; that of a laptop
// is a file ledger.
type Log interface {
	Record(ctx context.Context, e Event) (Receipt, error)
}

// Appender is what a File appends to: *ledger.Ledger.
type Appender interface {
	Append(ctx context.Context, e ledger.Entry) (ledger.Position, error)
}

// File is a Log that redacts events into a ledger.
type File struct {
	Ledger   Appender
	Redactor Redactor
}

var _ Log = File{}

// Record implements Log.
func (f File) Record(ctx context.Context, e Event) (Receipt, error) {
	e, err := e.withDefaults()
	if err != nil {
		return Receipt{}, err
	}
	entry, err := f.Redactor.Redact(e)
	if err != nil {
		return Receipt{}, err
	}
	at, err := f.Ledger.Append(ctx, entry)
	if err != nil {
		return Receipt{}, fmt.Errorf("recording %s: %w", e.Type(), err)
	}
	return Receipt{e.ID, at}, nil
}
