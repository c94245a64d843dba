// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hybridge/terraform-provider-hybridge/internal/audit"
	"github.com/hybridge/terraform-provider-hybridge/internal/ledger"
)

// cmdRecord records a deployment of a Worker with what a rollout does, as provider and
// plane do: an intent, a gate, a rollback, a result. The id of the intent comes into ID.
// The actor's address is $CANARY@example.com.
func cmdRecord(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 3, 3, "record DIR KEY-FILE WORKER")
	signer, err := readSigner(ts.MkAbs(args[1]))
	ts.Check(err)
	f := auditFlags{vkey: strings.TrimSpace(ts.ReadFile("audit.pub"))}
	verifier, err := f.verifier()
	ts.Check(err)
	l, err := ledger.Open(ledger.Config{Dir: ts.MkAbs(args[0]), Signer: signer, Verifier: verifier})
	ts.Check(err)
	redactor, err := audit.NewRedactor(bytes.Repeat([]byte("k"), audit.MinTokenKeyBytes), "2026")
	ts.Check(err)
	log := audit.File{Ledger: l, Redactor: redactor}
	target := audit.Target{Plane: "paris", Kind: audit.KindDeployment, Name: args[2]}
	run := audit.Run{System: "hcp", ID: "run-1", Workspace: "prod", Commit: "c0ffee"}
	actor := audit.Actor{Kind: "ci", Email: ts.Getenv("CANARY") + "@example.com", IP: "192.0.2.7"}
	record := func(d audit.Data) audit.Receipt {
		receipt, err := log.Record(context.Background(), audit.Event{Source: "/provider", Subject: "deployment/" + args[2], Data: d})
		ts.Check(err)
		return receipt
	}
	intent := record(audit.ChangeIntent{Action: "update", Target: target, Before: "sha256:aa", After: "sha256:bb", Actor: actor, Run: run})
	record(audit.RolloutGate{Target: target, Step: 1, Gate: "errors", Version: "v2", Reason: ts.Getenv("CANARY"), Run: run})
	record(audit.RolloutRollback{Target: target, From: "v2", To: "v1", Gate: "errors", Run: run})
	record(audit.ChangeResult{Intent: intent.ID, Action: "update", Target: target, Outcome: audit.OutcomeFailure, Actor: actor, Run: run})
	record(audit.ChangeIntent{Action: "delete", Target: target, Actor: actor, Run: run})
	ts.Check(l.Close())
	ts.Setenv("ID", intent.ID)
	ts.Setenv("MONTH", intent.At.Month)
}

// cmdDamage replaces a text in the files that a pattern names.
func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 3, 3, "damage PATTERN OLD NEW")
	paths, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	changed := 0
	for _, path := range paths {
		data, err := os.ReadFile(path)
		ts.Check(err)
		if other := bytes.Replace(data, []byte(args[1]), []byte(args[2]), 1); !bytes.Equal(other, data) {
			changed++
			ts.Check(os.WriteFile(path, other, 0o600))
		}
	}
	if changed == 0 {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
}
