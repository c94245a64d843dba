// SPDX-License-Identifier: MPL-2.0

// Package health is what an agent says of itself: the document, the endpoint
// that serves it, and the client that reads it.
package health

import (
	"fmt"
	"slices"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/connector"
)

// DocumentVersion changes when a member of Status changes its meaning or goes.
// Members may be added without.
const DocumentVersion = 1

// Status is the document of /status. It holds no secret.
type Status struct {
	Version      int                         `json:"version" jsonschema_description:"Version of this document: members may be added without a new one."`
	Agent        string                      `json:"agent" jsonschema_description:"Version of the program."`
	Region       string                      `json:"region,omitempty" jsonschema_description:"Region of agent.yaml."`
	StartedOn    time.Time                   `json:"started_on" jsonschema_description:"When the agent started."`
	AsOf         time.Time                   `json:"as_of" jsonschema_description:"When it looked; about a second ago."`
	Ready        bool                        `json:"ready" jsonschema_description:"No check fails; warnings do not count."`
	Checks       []Check                     `json:"checks" jsonschema_description:"What was looked at."`
	Addresses    []string                    `json:"addresses,omitempty" jsonschema_description:"Where the API and the ingress listen."`
	Workers      []Worker                    `json:"workers,omitempty" jsonschema_description:"Live versions."`
	Connectors   map[string]connector.Status `json:"connectors,omitempty" jsonschema_description:"Tunnel connectors by name."`
	Certificates []Certificate               `json:"certificates,omitempty" jsonschema_description:"Certificates that the agent serves with."`
	Disk         *Disk                       `json:"disk,omitempty" jsonschema_description:"File system of the data directory."`
	Clock        Clock                       `json:"clock" jsonschema_description:"What is known of the clock."`
	// Alerts are those that stand: raised, and not resolved.
	Alerts []Alert `json:"alerts,omitempty" jsonschema_description:"Alerts that stand: raised, and not resolved."`
	// RestartNeeded are keys of agent.yaml that have changed and need a restart.
	RestartNeeded []string `json:"restart_needed,omitempty" jsonschema_description:"Keys of agent.yaml that have changed and need a restart."`
	// ConfigError is why the last reload kept the configuration before.
	ConfigError string `json:"config_error,omitempty" jsonschema_description:"Why the last reload kept the configuration before."`
}

// Schema is the JSON Schema of the document.
func Schema() *jsonschema.Schema {
	r := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, AllowAdditionalProperties: true}
	s := r.Reflect(&Status{})
	s.Title = fmt.Sprintf("status of an agent, version %d", DocumentVersion)
	s.Description = "What /status of the health endpoint and \"hybridge status --json\" give. Members may be added without a new version."
	return s
}

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"name" jsonschema_description:"database, disk, clock, workers, connector NAME, certificate FILE, certificates, host names or configuration."`
	OK     bool   `json:"ok" jsonschema_description:"Nothing is wrong."`
	Detail string `json:"detail,omitempty" jsonschema_description:"What is wrong and how to mend it."`
	// Warning: wrong, and yet everything works.
	Warning bool `json:"warning,omitempty" jsonschema_description:"Wrong, and yet everything works."`
}

// Alert is something that is wrong and was told.
type Alert struct {
	ID       string    `json:"id" jsonschema_description:"Id of this time that it is wrong."`
	Kind     string    `json:"kind" jsonschema_description:"connector_down, plane_unhealthy, crash_loop, rollout_failed, certificate_expiry or disk_filling."`
	Subject  string    `json:"subject" jsonschema_description:"What it is about."`
	Detail   string    `json:"detail" jsonschema_description:"What is wrong."`
	RaisedOn time.Time `json:"raised_on" jsonschema_description:"Since when."`
}

// Worker is a live version.
type Worker struct {
	WorkerID  string `json:"worker_id" jsonschema_description:"Id of the Worker."`
	VersionID string `json:"version_id" jsonschema_description:"Id of the version."`
	State     string `json:"state" jsonschema_description:"starting, ready, draining, backing-off or crash-loop."`
	Restarts  int    `json:"restarts" jsonschema_description:"How often it was started again."`
	LastError string `json:"last_error,omitempty" jsonschema_description:"Why it last ended."`
}

// Certificate is one that the agent serves with.
type Certificate struct {
	File     string    `json:"file" jsonschema_description:"Path of the certificate."`
	Names    []string  `json:"names" jsonschema_description:"Host names it is for."`
	NotAfter time.Time `json:"not_after" jsonschema_description:"When it ends."`
}

// Disk is the file system of the data directory.
type Disk struct {
	Path        string  `json:"path" jsonschema_description:"The data directory."`
	FreeBytes   uint64  `json:"free_bytes" jsonschema_description:"What the agent may still write."`
	TotalBytes  uint64  `json:"total_bytes" jsonschema_description:"Size of the file system."`
	FreePercent float64 `json:"free_percent" jsonschema_description:"Share of it."`
}

// Clock is what the kernel knows of the machine's clock.
type Clock struct {
	Synchronised  bool    `json:"synchronised" jsonschema_description:"The kernel takes the clock for right."`
	OffsetSeconds float64 `json:"offset_seconds" jsonschema_description:"What is left to correct."`
	Unknown       bool    `json:"unknown,omitempty" jsonschema_description:"The kernel does not say."`
	// JumpSeconds is the last step of the clock that the agent has seen, and JumpedOn
	// when, by the new time. Certificates, tokens and leases are judged by this clock.
	JumpSeconds float64    `json:"jump_seconds,omitempty" jsonschema_description:"Last step of the clock that the agent has seen."`
	JumpedOn    *time.Time `json:"jumped_on,omitempty" jsonschema_description:"When, by the new time."`
}

// Add appends a check.
func (s *Status) Add(c Check) { s.Checks = append(s.Checks, c) }

// Settle sets Ready from the checks.
func (s *Status) Settle() {
	s.Ready = !slices.ContainsFunc(s.Checks, func(c Check) bool { return !c.OK && !c.Warning })
}
