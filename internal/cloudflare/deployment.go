// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"time"
)

// Share is one version's part of a deployment, in percent.
type Share struct {
	VersionID  string  `json:"version_id"`
	Percentage float64 `json:"percentage"`
}

// Deployment is a deployment of one or two versions.
type Deployment struct {
	ID          string            `json:"id"`
	CreatedOn   time.Time         `json:"created_on"`
	Source      string            `json:"source"`
	Strategy    string            `json:"strategy"`
	AuthorEmail string            `json:"author_email"`
	Annotations map[string]string `json:"annotations"`
	Versions    []Share           `json:"versions"`
}

// Marking reads what Hybridge wrote into the deployment's message; its Marker is
// empty if somebody else deployed.
func (d Deployment) Marking() Marking { return ParseMarker(d.Annotations[AnnotationMessage]) }

// DeploymentInput is a deployment to be created.
type DeploymentInput struct {
	Versions []Share
	Message  string // the user's
	Run      Run    // where this apply runs; recorded in the message
	// Rollout says which step of a rollout it is; recorded in the message. RolloutID is
	// the id under which a self-hosted plane knows the rollout, empty if it does not.
	Rollout   RolloutMark
	RolloutID string

	// Force deploys also over a change of secrets, which a plane refuses otherwise
	// (code 10220): older versions have the secrets of their time.
	Force bool

	// Again deploys even if exactly that is live, for the sake of the message.
	Again bool

	// Check decides whether the live deployment (nil: nothing is live) may be
	// replaced; its error stops the call before anything is sent. It may be
	// called several times.
	Check func(live *Deployment) error
	// Expect is the id of the deployment that Check is known to accept, if any.
	// On a plane that compares and deploys in one step it saves the look before.
	Expect string
}
