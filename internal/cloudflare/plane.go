// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Kinds of planes.
const (
	EdgePlane       = "edge"
	SelfHostedPlane = "self-hosted"
)

// CapabilityIfMatch says that a plane compares the live deployment with If-Match
// and deploys in one step.
const CapabilityIfMatch = "deployments.if-match"

// Plane is what a plane says about itself.
type Plane struct {
	Kind string // EdgePlane or SelfHostedPlane
	// The rest is empty for an edge plane.
	Version        string // of the agent
	WorkerdVersion string
	Healthy        bool
	Problems       []string // why it is not healthy, in words
	Capabilities   []string // what it can beyond Cloudflare's API
	Region         string   // where it says that it is; empty if it does not
}

// Token is what a plane says about the API token.
type Token struct {
	ID     string `json:"id"`
	Status string `json:"status"` // "active"
}

// Plane asks the plane what it is, once. A server without /hybridge/v1 is an
// edge plane; Cloudflare itself is not asked.
func (c *Client) Plane(ctx context.Context) (Plane, error) {
	if c.edge {
		return Plane{Kind: EdgePlane}, nil
	}
	c.found.mu.Lock()
	defer c.found.mu.Unlock()
	if c.found.info != nil {
		return *c.found.info, nil
	}
	info, err := c.askPlane(ctx)
	if err != nil {
		return Plane{}, err
	}
	c.found.info = &info
	return info, nil
}

func (c *Client) askPlane(ctx context.Context) (Plane, error) {
	root := *c.base
	root.Path = strings.TrimSuffix(strings.TrimRight(root.Path, "/"), "/client/v4") + "/hybridge/v1/plane"
	root.RawPath = ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, root.String(), nil)
	if err != nil {
		return Plane{}, fmt.Errorf("asking %s what it is: %w", planeLabel(c.plane), err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.wire.Do(req)
	if err != nil {
		if s := status(err); s >= 400 && s < 500 && s != http.StatusUnauthorized && s != http.StatusForbidden && s != http.StatusTooManyRequests {
			return Plane{Kind: EdgePlane}, nil
		}
		return Plane{}, fmt.Errorf("asking %s what it is: %w", planeLabel(c.plane), err)
	}
	defer func() { _ = res.Body.Close() }()
	// Success under /hybridge/v1 is the bare object, without an envelope.
	var said struct {
		Kind           string   `json:"kind"`
		Version        string   `json:"version"`
		WorkerdVersion string   `json:"workerd_version"`
		Region         string   `json:"region"`
		Healthy        bool     `json:"healthy"`
		Capabilities   []string `json:"capabilities"`
		Problems       []struct {
			Worker  string `json:"worker"`
			Message string `json:"message"`
		} `json:"problems"`
	}
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil || said.Kind == "" {
		return Plane{}, c.wire.answerError(req, res, "answered /hybridge/v1/plane with something else than a plane's description")
	}
	p := Plane{Kind: said.Kind, Version: said.Version, WorkerdVersion: said.WorkerdVersion, Healthy: said.Healthy, Region: said.Region, Capabilities: said.Capabilities}
	for _, trouble := range said.Problems {
		p.Problems = append(p.Problems, fmt.Sprintf("Worker %q: %s", trouble.Worker, trouble.Message))
	}
	return p, nil
}

// VerifyToken asks whether the plane knows the token.
func (c *Client) VerifyToken(ctx context.Context) (Token, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath("user/tokens/verify").String(), nil)
	if err != nil {
		return Token{}, fmt.Errorf("verifying the API token: %w", err)
	}
	res, err := c.wire.Do(req)
	if err != nil {
		return Token{}, fmt.Errorf("verifying the API token: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return Token{}, fmt.Errorf("verifying the API token: %w", err)
	}
	res.Request = req
	var t Token
	if _, err := c.decode(&answer{body: body, http: res}, &t); err != nil {
		return Token{}, fmt.Errorf("verifying the API token: %w", err)
	}
	return t, nil
}
