// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CapabilityRollouts says that a plane keeps a rollout's lease and its history.
const CapabilityRollouts = "rollouts"

// RolloutHeader names, with a deployment, the rollout that it is a step of.
const RolloutHeader = "Hybridge-Rollout"

// Rollout is a rollout as it is announced to a self-hosted plane
// (/hybridge/v1/accounts/{account}/workers/{worker}/rollouts).
type Rollout struct {
	ID       string        `json:"id"` // a UUID
	Target   string        `json:"target"`
	Previous string        `json:"previous"`
	Steps    []RolloutStep `json:"steps"`
	// OnFailure and OnInterrupt are "rollback" or "hold".
	OnFailure   string `json:"on_failure"`
	OnInterrupt string `json:"on_interrupt"`
	// InterruptMessage is the message of the deployment that the plane makes when it
	// has not heard anything for as long as the lease lasts.
	InterruptMessage string `json:"interrupt_message"`
	// Base is the id of the deployment that the rollout begins from, if there is one. If
	// another one is live, StartRollout gives IsConflict.
	Base string     `json:"base,omitempty"`
	Run  RolloutRun `json:"run"`
}

// RolloutStep is one step of a Rollout, the implied last one included.
type RolloutStep struct {
	Percentage  float64  `json:"percentage"`
	BakeSeconds float64  `json:"bake_seconds"`
	Gates       []string `json:"gates"`
}

// RolloutRun is where a rollout is driven from.
type RolloutRun struct {
	ID        string `json:"id"`
	Workspace string `json:"workspace"`
	Commit    string `json:"commit"`
}

// RolloutTransition is a change of a rollout's state, as it is reported.
type RolloutTransition struct {
	State        string          `json:"state"`
	Step         int             `json:"step"`
	Percentage   float64         `json:"percentage"`
	DeploymentID string          `json:"deployment_id,omitempty"`
	Reason       string          `json:"reason,omitempty"`
	Verdict      *RolloutVerdict `json:"verdict,omitempty"`
}

// RolloutVerdict is what a gate has said.
type RolloutVerdict struct {
	Gate   string `json:"gate"`
	Pass   bool   `json:"pass"`
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

// KeepsRollouts reports whether the plane keeps a rollout's lease and history.
// Cloudflare does not. A plane that does not say what it is may be one that does.
func (c *Client) KeepsRollouts(ctx context.Context) (bool, error) {
	plane, err := c.Plane(ctx)
	return err == nil && slices.Contains(plane.Capabilities, CapabilityRollouts), err
}

// StartRollout announces a rollout. A Worker that has another one that goes on gives an
// error that is IsConflict.
func (c *Client) StartRollout(ctx context.Context, worker string, r Rollout) error {
	return c.hybridge(ctx, http.MethodPost, r, nil, nil, "workers", worker, "rollouts")
}

// ReportRollout reports a transition, which renews the lease. IsConflict says that the
// plane has ended the rollout itself.
func (c *Client) ReportRollout(ctx context.Context, worker, id string, t RolloutTransition) error {
	return c.hybridge(ctx, http.MethodPost, t, nil, nil, "workers", worker, "rollouts", id, "transitions")
}

// RenewRollout says that the rollout is still being driven.
func (c *Client) RenewRollout(ctx context.Context, worker, id string) error {
	return c.hybridge(ctx, http.MethodPut, struct{}{}, nil, nil, "workers", worker, "rollouts", id, "lease")
}

// RolloutView is a rollout as a plane shows it.
type RolloutView struct {
	Rollout
	WorkerID         string         `json:"worker_id"`
	Worker           string         `json:"worker"`
	State            string         `json:"state"`
	Sequence         int64          `json:"sequence"` // of the newest event
	StartedOn        time.Time      `json:"started_on"`
	UpdatedOn        time.Time      `json:"updated_on"`
	EndedOn          *time.Time     `json:"ended_on"` // nil while it goes on
	LeaseSecondsLeft float64        `json:"lease_seconds_left"`
	Live             []Share        `json:"live"` // now, whoever has deployed it
	Events           []RolloutEvent `json:"events,omitempty"`
}

// RolloutEvent is a transition as a plane has numbered it.
type RolloutEvent struct {
	Sequence int64     `json:"sequence"`
	At       time.Time `json:"at"`
	RolloutTransition
}

// Rollouts lists the rollouts that the plane knows, newest first, without events; of one
// Worker if worker is not empty, and in one state if state is not.
func (c *Client) Rollouts(ctx context.Context, worker, state string, limit int) ([]RolloutView, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if worker != "" {
		query.Set("worker", worker)
	}
	if state != "" {
		query.Set("state", state)
	}
	var list struct {
		Rollouts []RolloutView `json:"rollouts"`
	}
	err := c.hybridge(ctx, http.MethodGet, nil, query, &list, "rollouts")
	return list.Rollouts, err
}

// Rollout reads one with its events.
func (c *Client) Rollout(ctx context.Context, id string) (r RolloutView, err error) {
	err = c.hybridge(ctx, http.MethodGet, nil, nil, &r, "rollouts", id)
	return r, err
}

// RolloutEvents reads what has happened after an event, oldest first, and the state.
func (c *Client) RolloutEvents(ctx context.Context, id string, after int64) (events []RolloutEvent, state string, err error) {
	var page struct {
		Events []RolloutEvent `json:"events"`
		State  string         `json:"state"`
	}
	err = c.hybridge(ctx, http.MethodGet, nil, url.Values{"after": {strconv.FormatInt(after, 10)}}, &page, "rollouts", id, "events")
	return page.Events, page.State, err
}

// hybridge sends a request below /hybridge/v1/accounts/{account}. A nil body is none; into
// gets the answer, if it is not nil.
func (c *Client) hybridge(ctx context.Context, method string, body any, query url.Values, into any, path ...string) error {
	doing := "calling the plane's own API"
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
	root := *c.base
	root.Path = strings.TrimSuffix(strings.TrimRight(root.Path, "/"), "/client/v4") + "/hybridge/v1"
	root.RawPath = ""
	for _, s := range path {
		if _, err := segment(s); err != nil {
			return err
		}
	}
	u := root.JoinPath(append([]string{"accounts", c.accountID}, path...)...)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.wire.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer func() { _ = res.Body.Close() }()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return c.wire.answerError(req, res, "answered /hybridge/v1 with something else than it documents")
	}
	return nil
}

// GraphQL asks the plane's analytics. into gets what stands under "data".
func (c *Client) GraphQL(ctx context.Context, query string, variables map[string]any, into any) error {
	text, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return fmt.Errorf("asking for metrics: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath("graphql").String(), bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("asking for metrics: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := c.wire.Do(req)
	if err != nil {
		return fmt.Errorf("asking for metrics: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	var said struct {
		Data   json.RawMessage `json:"data"`
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil {
		return c.wire.answerError(req, res, "answered a GraphQL query with something else than GraphQL's JSON")
	}
	if len(said.Errors) > 0 {
		return fmt.Errorf("asking for metrics: the plane refuses the query: %s", cut(c.wire.redact(said.Errors[0].Message), 300))
	}
	if err := json.Unmarshal(said.Data, into); err != nil {
		return c.wire.answerError(req, res, "answered a GraphQL query with data of another form")
	}
	return nil
}
