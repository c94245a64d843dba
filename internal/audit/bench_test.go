// SPDX-License-Identifier: MPL-2.0

package audit

import "testing"

func BenchmarkRedact(b *testing.B) {
	r, err := NewRedactor(make([]byte, MinTokenKeyBytes), "2026")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, err := r.Redact(Event{Source: "/provider", Subject: "deployment/api", Data: ChangeIntent{
			Action: "update", Target: Target{Plane: "paris", Kind: KindDeployment, Name: "api"}, Before: "sha256:0f3a", After: "sha256:1f3a",
			Actor: Actor{Kind: "ci", Name: "Eve", Email: "eve@example.com", IP: "192.0.2.7"},
			Run:   Run{System: "hcp", ID: "run-1", Workspace: "prod", Commit: "c0ffee"},
		}})
		if err != nil {
			b.Fatal(err)
		}
	}
}
