// SPDX-License-Identifier: MPL-2.0

// Package tunneltoken gets the token of a tunnel's connector: from a file, from a
// SOPS file with the machine's age identity, or from the API that made the tunnel.
package tunneltoken

import (
	"context"

	"github.com/hybridge/terraform-provider-hybridge/internal/agent/agentfile"
	"github.com/hybridge/terraform-provider-hybridge/internal/agent/credential"
)

// Source gives a token anew each time it is asked. It is used by one goroutine.
type Source interface {
	// Read returns the token. It is asked about once per second, and costs little
	// while nothing has changed. Its error never holds a secret.
	Read(ctx context.Context) ([]byte, error)
	// String says where the token comes from, for errors.
	String() string
}

// Of is the source that a connector of agent.yaml names. It reads nothing yet.
func Of(c agentfile.Connector) Source {
	switch {
	case c.TokenFromAPI != nil:
		api := &fromAPI{tunnelID: c.TunnelID, cfg: *c.TokenFromAPI, credential: file(c.TokenFromAPI.APITokenFile)}
		if s := c.TokenFromAPI.APITokenSOPS; s != nil {
			api.credential = &sops{value: *s}
		}
		return api
	case c.TokenSOPS != nil:
		return &sops{value: *c.TokenSOPS}
	}
	return file(c.TokenFile)
}

// file is the path of a file with nothing but the secret.
type file string

func (f file) Read(context.Context) ([]byte, error) { return credential.Read(string(f)) }

func (f file) String() string { return string(f) }
