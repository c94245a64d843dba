// SPDX-License-Identifier: MPL-2.0

// Package health is what an agent says of itself: the document, the endpoint
// that serves it, and the client that reads it.
package health

import (
	"slices"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector"
)

// DocumentVersion changes when a member of Status changes its meaning or goes.
// Members may be added without.
const DocumentVersion = 1

// Status is the document of /status. It holds no secret.
type Status struct {
	Version      int                         `json:"version"`
	Agent        string                      `json:"agent"` // version of the program
	Region       string                      `json:"region,omitempty"`
	StartedOn    time.Time                   `json:"started_on"`
	AsOf         time.Time                   `json:"as_of"`
	Ready        bool                        `json:"ready"` // everything of the configuration works
	Checks       []Check                     `json:"checks"`
	Addresses    []string                    `json:"addresses,omitempty"`
	Workers      []Worker                    `json:"workers,omitempty"`
	Connectors   map[string]connector.Status `json:"connectors,omitempty"`
	Certificates []Certificate               `json:"certificates,omitempty"`
	Disk         *Disk                       `json:"disk,omitempty"`
	Clock        Clock                       `json:"clock"`
	// Alerts are those that stand: raised, and not resolved.
	Alerts []Alert `json:"alerts,omitempty"`
	// RestartNeeded are keys of agent.yaml that have changed and need a restart.
	RestartNeeded []string `json:"restart_needed,omitempty"`
	// ConfigError is why the last reload kept the configuration before.
	ConfigError string `json:"config_error,omitempty"`
}

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"name"` // "database", "disk", "clock", "workers", "connector NAME", "certificate FILE", "configuration"
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // what is wrong and how to mend it
	// Warning: wrong, and yet everything works.
	Warning bool `json:"warning,omitempty"`
}

// Alert is something that is wrong and was told.
type Alert struct {
	ID       string    `json:"id"`   // of this time that it is wrong
	Kind     string    `json:"kind"` // "connector_down", "plane_unhealthy", "crash_loop", "rollout_failed", "certificate_expiry" or "disk_filling"
	Subject  string    `json:"subject"`
	Detail   string    `json:"detail"`
	RaisedOn time.Time `json:"raised_on"`
}

// Worker is a live version.
type Worker struct {
	WorkerID  string `json:"worker_id"`
	VersionID string `json:"version_id"`
	State     string `json:"state"` // as supervised: "starting", "ready", "draining", "backing-off", "crash-loop"
	Restarts  int    `json:"restarts"`
	LastError string `json:"last_error,omitempty"`
}

// Certificate is one that the agent serves with.
type Certificate struct {
	File     string    `json:"file"`
	Names    []string  `json:"names"`
	NotAfter time.Time `json:"not_after"`
}

// Disk is the file system of the data directory.
type Disk struct {
	Path        string  `json:"path"`
	FreeBytes   uint64  `json:"free_bytes"`
	TotalBytes  uint64  `json:"total_bytes"`
	FreePercent float64 `json:"free_percent"`
}

// Clock is what the kernel knows of the machine's clock.
type Clock struct {
	Synchronised  bool    `json:"synchronised"`
	OffsetSeconds float64 `json:"offset_seconds"`
	Unknown       bool    `json:"unknown,omitempty"` // the kernel does not say
}

// Add appends a check.
func (s *Status) Add(c Check) { s.Checks = append(s.Checks, c) }

// Settle sets Ready from the checks.
func (s *Status) Settle() {
	s.Ready = !slices.ContainsFunc(s.Checks, func(c Check) bool { return !c.OK && !c.Warning })
}
