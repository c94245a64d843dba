// SPDX-License-Identifier: MPL-2.0

package audit

import "slices"

// Every event has one of these types, and every field of its data a class, in the
// tag `audit`:
//
//	public    it is copied
//	token     it becomes an HMAC: equal values are equal, and nobody without the key
//	          knows which. Without a key it is withheld
//	withheld  the entry only commits to it; the value is kept beside the ledger
//
// What is a secret has no field here, only a digest of its ciphertext. Free text that
// others wrote (messages of errors, names of people) is withheld. A field without
// a class is an error of the program: every Redact of that type fails, and a test.

// Kind is what a change is about.
type Kind string

// Kinds of things that are changed.
const (
	KindWorker       Kind = "worker"
	KindVersion      Kind = "version"
	KindDeployment   Kind = "deployment"
	KindSecret       Kind = "secret"
	KindTrigger      Kind = "trigger"
	KindRoute        Kind = "route"
	KindCustomDomain Kind = "custom_domain"
	KindTunnel       Kind = "tunnel"
	KindDNSRecord    Kind = "dns_record"
	KindZone         Kind = "zone"
	KindVPCService   Kind = "vpc_service"
	KindToken        Kind = "token"
	KindAuditSink    Kind = "audit_sink"
)

var kinds = []Kind{
	KindWorker, KindVersion, KindDeployment, KindSecret, KindTrigger, KindRoute, KindCustomDomain,
	KindTunnel, KindDNSRecord, KindZone, KindVPCService, KindToken, KindAuditSink,
}

// Data is what an event tells. Its types are those below, and no others.
type Data interface{ eventType() string }

// Outcome of what was done.
const (
	OutcomeSuccess = "success"
	OutcomeFailure = "failure"
	OutcomeUnknown = "unknown" // the answer was lost: it may have been done
)

// Actor is who did something.
type Actor struct {
	Kind    string `json:"kind,omitempty" audit:"public"` // person, ci, agent, terraform
	Name    string `json:"name,omitempty" audit:"withheld"`
	Email   string `json:"email,omitempty" audit:"withheld"`
	Account string `json:"account,omitempty" audit:"token"` // at the CI or HCP
	IP      string `json:"ip,omitempty" audit:"token"`
	TokenID string `json:"token_id,omitempty" audit:"public"` // never the token
}

// Run is the run of Terraform that a change belongs to.
type Run struct {
	System    string `json:"system,omitempty" audit:"public"` // hcp, github, gitlab, …, or local
	ID        string `json:"id,omitempty" audit:"public"`
	Workspace string `json:"workspace,omitempty" audit:"public"`
	Commit    string `json:"commit,omitempty" audit:"public"`
	Branch    string `json:"branch,omitempty" audit:"public"`
	Approver  string `json:"approver,omitempty" audit:"token"`
}

// Target is what something was done to.
type Target struct {
	Plane   string `json:"plane,omitempty" audit:"public"`
	Account string `json:"account,omitempty" audit:"public"`
	Kind    Kind   `json:"kind" audit:"public"`
	Name    string `json:"name,omitempty" audit:"public"`
	ID      string `json:"id,omitempty" audit:"public"`
}

// ChangeIntent is recorded before a change is made, and makes it traceable even if
// whoever makes it ends in between. Its type is the kind and "intent": deployment.intent.
type ChangeIntent struct {
	Action    string `json:"action" audit:"public"` // create, update, delete
	Target    Target `json:"target" audit:"public"`
	Before    string `json:"before,omitempty" audit:"public"` // digest
	After     string `json:"after,omitempty" audit:"public"`  // digest
	Actor     Actor  `json:"actor,omitzero" audit:"public"`
	Run       Run    `json:"run,omitzero" audit:"public"`
	RequestID string `json:"request_id,omitempty" audit:"public"`
}

// ChangeResult is recorded after it, with the id of the intent: deployment.result.
type ChangeResult struct {
	Intent    string `json:"intent" audit:"public"` // id of the event before
	Action    string `json:"action" audit:"public"`
	Target    Target `json:"target" audit:"public"`
	Outcome   string `json:"outcome" audit:"public"`
	Code      int    `json:"code,omitempty" audit:"public"`    // of the API
	Error     string `json:"error,omitempty" audit:"withheld"` // may quote what was sent
	Before    string `json:"before,omitempty" audit:"public"`
	After     string `json:"after,omitempty" audit:"public"`
	RayID     string `json:"ray_id,omitempty" audit:"public"` // joins with Cloudflare's audit log
	Actor     Actor  `json:"actor,omitzero" audit:"public"`
	Run       Run    `json:"run,omitzero" audit:"public"`
	RequestID string `json:"request_id,omitempty" audit:"public"`
}

// APICall is a mutating call of a self-hosted plane's API.
type APICall struct {
	Stage     string `json:"stage" audit:"public"` // intent or result
	Intent    string `json:"intent,omitempty" audit:"public"`
	Method    string `json:"method" audit:"public"`
	Route     string `json:"route" audit:"public"` // the pattern, without values
	Target    Target `json:"target" audit:"public"`
	Status    int    `json:"status,omitempty" audit:"public"`
	Outcome   string `json:"outcome,omitempty" audit:"public"`
	Error     string `json:"error,omitempty" audit:"withheld"`
	Actor     Actor  `json:"actor,omitzero" audit:"public"`
	UserAgent string `json:"user_agent,omitempty" audit:"withheld"`
	RequestID string `json:"request_id,omitempty" audit:"public"`
}

// RolloutStep is a step of a rollout that was taken.
type RolloutStep struct {
	Target     Target `json:"target" audit:"public"`
	Rollout    string `json:"rollout,omitempty" audit:"public"`
	Step       int    `json:"step" audit:"public"`
	Percentage string `json:"percentage,omitempty" audit:"public"`
	Version    string `json:"version" audit:"public"`
	Deployment string `json:"deployment,omitempty" audit:"public"`
	Outcome    string `json:"outcome,omitempty" audit:"public"`
	Run        Run    `json:"run,omitzero" audit:"public"`
}

// RolloutGate is what a gate has said.
type RolloutGate struct {
	Target  Target `json:"target" audit:"public"`
	Rollout string `json:"rollout,omitempty" audit:"public"`
	Step    int    `json:"step" audit:"public"`
	Gate    string `json:"gate" audit:"public"`
	Version string `json:"version" audit:"public"`
	Passed  bool   `json:"passed" audit:"public"`
	Reason  string `json:"reason,omitempty" audit:"withheld"` // may quote what a Worker answered
	Run     Run    `json:"run,omitzero" audit:"public"`
}

// RolloutRollback is a rollout that went back.
type RolloutRollback struct {
	Target      Target `json:"target" audit:"public"`
	Rollout     string `json:"rollout,omitempty" audit:"public"`
	From        string `json:"from" audit:"public"`
	To          string `json:"to" audit:"public"`
	Gate        string `json:"gate,omitempty" audit:"public"`
	Interrupted bool   `json:"interrupted,omitempty" audit:"public"`
	Outcome     string `json:"outcome,omitempty" audit:"public"`
	Run         Run    `json:"run,omitzero" audit:"public"`
}

// AgentStarted and the others are the life of the agent.
type AgentStarted struct {
	Version      string `json:"version" audit:"public"`
	ConfigDigest string `json:"config_digest" audit:"public"`
	Region       string `json:"region,omitempty" audit:"public"`
}

// AgentStopped: an end that was asked for. A crash has none.
type AgentStopped struct {
	Reason string `json:"reason" audit:"public"` // signal, idle, failure
}

// ConnectorChanged is the state of a tunnel's connector.
type ConnectorChanged struct {
	Connector string `json:"connector" audit:"public"`
	TunnelID  string `json:"tunnel_id,omitempty" audit:"public"`
	State     string `json:"state" audit:"public"`
	Edge      int    `json:"connections,omitempty" audit:"public"`
}

// BackupMade is a copy of the agent's data.
type BackupMade struct {
	Digest  string `json:"digest,omitempty" audit:"public"`
	Bytes   int64  `json:"bytes,omitempty" audit:"public"`
	Outcome string `json:"outcome" audit:"public"`
	Path    string `json:"path,omitempty" audit:"withheld"`
}

// SinkRejected: a receiver does not take an event, whatever is tried.
type SinkRejected struct {
	Sink  string `json:"sink" audit:"public"`
	Month string `json:"month" audit:"public"`
	Seq   int64  `json:"seq" audit:"public"`
	Code  string `json:"code" audit:"public"`
	Error string `json:"error,omitempty" audit:"withheld"`
}

// SinkLagging: a receiver is behind.
type SinkLagging struct {
	Sink       string `json:"sink" audit:"public"`
	LagSeconds int64  `json:"lag_seconds" audit:"public"`
	Backlog    int64  `json:"backlog_bytes" audit:"public"`
	Code       string `json:"code,omitempty" audit:"public"`
}

func (d ChangeIntent) eventType() string   { return string(d.Target.Kind) + ".intent" }
func (d ChangeResult) eventType() string   { return string(d.Target.Kind) + ".result" }
func (APICall) eventType() string          { return "api.call" }
func (RolloutStep) eventType() string      { return "rollout.step" }
func (RolloutGate) eventType() string      { return "rollout.gate" }
func (RolloutRollback) eventType() string  { return "rollout.rollback" }
func (AgentStarted) eventType() string     { return "agent.started" }
func (AgentStopped) eventType() string     { return "agent.stopped" }
func (ConnectorChanged) eventType() string { return "connector.changed" }
func (BackupMade) eventType() string       { return "backup.made" }
func (SinkRejected) eventType() string     { return "sink.rejected" }
func (SinkLagging) eventType() string      { return "sink.lagging" }

// catalogue has one value of each type of data.
var catalogue = []Data{
	ChangeIntent{}, ChangeResult{}, APICall{}, RolloutStep{}, RolloutGate{}, RolloutRollback{},
	AgentStarted{}, AgentStopped{}, ConnectorChanged{}, BackupMade{}, SinkRejected{}, SinkLagging{},
}

// types are those of all events.
var types = listTypes()

// Types lists the types of all events.
func Types() []string { return slices.Clone(types) }

func listTypes() []string {
	var types []string
	for _, d := range catalogue {
		switch d.(type) {
		case ChangeIntent:
			for _, k := range kinds {
				types = append(types, ChangeIntent{Target: Target{Kind: k}}.eventType())
			}
		case ChangeResult:
			for _, k := range kinds {
				types = append(types, ChangeResult{Target: Target{Kind: k}}.eventType())
			}
		default:
			types = append(types, d.eventType())
		}
	}
	return types
}
