// SPDX-License-Identifier: MPL-2.0

package gate

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/hybridge/terraform-provider-hybridge/internal/rollout"
)

// Subject is the rollout that a webhook is asked about. Its JSON is what is sent.
type Subject struct {
	RolloutID string   `json:"rollout_id"`
	Worker    string   `json:"worker"`
	Plane     string   `json:"plane"`
	Target    Version  `json:"target"`
	Previous  *Version `json:"previous"` // nil for the first deployment of a Worker
	Run       Run      `json:"run"`
}

// Version is a version in a Subject.
type Version struct {
	ID     string `json:"id"`
	Digest string `json:"digest,omitempty"`
	Marker string `json:"marker,omitempty"`
}

// Run is what started a rollout, as far as known.
type Run struct {
	ID        string `json:"id"`
	Workspace string `json:"workspace"`
	Commit    string `json:"commit"`
}

// question is the body of a request, in the form that Standard Webhooks recommend.
type question struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      struct {
		Subject
		Gate       string         `json:"gate"`
		Step       int            `json:"step"` // from 0, as everywhere else
		Steps      int            `json:"steps"`
		Percentage float64        `json:"percentage"`
		Since      time.Time      `json:"since"`
		Bake       float64        `json:"bake_seconds"`
		Verdicts   []verdictSoFar `json:"verdicts"`
	} `json:"data"`
}

// verdictSoFar has no Detail: a Worker's output is not for a third party.
type verdictSoFar struct {
	Gate   string `json:"gate"`
	Step   int    `json:"step"`
	Pass   bool   `json:"pass"`
	Reason string `json:"reason"`
}

// message is the body of every request about one candidate.
func (g *Webhook) message(c rollout.Candidate, at time.Time) ([]byte, error) {
	q := question{Type: "rollout.gate", Timestamp: at.UTC()}
	q.Data.Subject, q.Data.Gate = g.Subject, g.Name
	q.Data.Step, q.Data.Steps, q.Data.Percentage = c.Step, c.Steps, c.Percentage
	q.Data.Since, q.Data.Bake = c.Since.UTC(), c.Bake.Seconds()
	q.Data.Verdicts = []verdictSoFar{}
	for _, v := range c.Verdicts {
		q.Data.Verdicts = append(q.Data.Verdicts, verdictSoFar{v.Gate, v.Step, v.Pass, v.Reason})
	}
	return json.Marshal(q)
}

// messageID names a question. It is a function of what is asked about: a run that takes up
// a step which another one has left, without another deployment, asks the same question, and
// what was answered meanwhile counts. It has no full stop, which separates the parts of what
// is signed.
func messageID(deployment, gate string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", deployment, gate))
	return "gate_" + hex.EncodeToString(sum[:16])
}

// shortestKey is in bytes. Standard Webhooks ask for 24; a signing secret that is
// typed as text may have fewer, but a guessable one protects nothing.
const shortestKey = 16

// Key is the key that a signing secret stands for: what the base64 after "whsec_"
// decodes to, or else the secret itself, byte for byte. Its error says nothing of it.
func Key(secret []byte) ([]byte, error) {
	key := secret
	if text, ok := bytes.CutPrefix(bytes.TrimSpace(secret), []byte("whsec_")); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(string(text)); err != nil {
			return nil, errors.New(`what follows "whsec_" in the signing secret is not base64`)
		}
	}
	if len(key) < shortestKey {
		return nil, fmt.Errorf("the signing secret has fewer than %d bytes", shortestKey)
	}
	return key, nil
}

// signer signs one message at different times. Of the library it takes the HMAC
// only: its verification has a fixed window and the real clock. Its error is fit for
// a Reason.
func signer(secret func() ([]byte, error), id string, body []byte) (func(at time.Time) (string, error), error) {
	text, err := secret()
	if err != nil { // its text may hold what it was about
		return nil, errors.New("the signing secret could not be had")
	}
	key, err := Key(text)
	if err != nil {
		return nil, err
	}
	hook, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		return nil, errors.New("the signing secret cannot be used")
	}
	return func(at time.Time) (string, error) { return hook.Sign(id, at, body) }, nil
}

// decodeAnswer reads {"verdict": ..., "reason": ...}. Other members are ignored. It is
// stricter than encoding/json, in which the last of two verdicts would win, and
// "Verdict" be one. Its errors are fit for a Reason.
func decodeAnswer(body []byte) (verdict, reason string, err error) {
	if !utf8.Valid(body) {
		return "", "", errors.New("not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return "", "", errors.New("not a JSON object")
	}
	seen := map[string]bool{}
	for decoder.More() {
		name, err := decoder.Token()
		key, ok := name.(string)
		if err != nil || !ok {
			return "", "", errors.New("not JSON")
		}
		if seen[key] {
			return "", "", errors.New("a member that is there twice")
		}
		seen[key] = true
		var value any
		if err := decoder.Decode(&value); err != nil {
			return "", "", errors.New("not JSON")
		}
		switch key {
		case "verdict":
			verdict, _ = value.(string)
		case "reason":
			if reason, ok = value.(string); !ok && value != nil {
				return "", "", errors.New("a reason that is no string")
			}
		}
	}
	if _, err := decoder.Token(); err != nil {
		return "", "", errors.New("not JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return "", "", errors.New("something after the JSON object")
	}
	switch verdict {
	case "pass", "fail", "wait":
		return verdict, reason, nil
	}
	return "", "", errors.New(`no verdict "pass", "fail" or "wait"`)
}
