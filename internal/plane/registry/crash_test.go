// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// writerEnv makes the test binary a process that writes until it is killed.
const writerEnv = "HYBRIDGE_TEST_REGISTRY_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		if err := writeForever(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever uploads and deploys, and says after each step what is on the disk.
func writeForever(ctx context.Context, dir string) error {
	r, err := Open(ctx, dir)
	if err != nil {
		return err
	}
	accounts, err := r.Accounts(ctx)
	if err != nil {
		return err
	}
	w, err := r.Worker(ctx, accounts[0].ID, "api")
	if err != nil {
		return err
	}
	live, _, err := r.LiveDeployment(ctx, w.ID)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		sum, size, err := r.Put(strings.NewReader(fmt.Sprintf("export default %d // by %d", i, os.Getpid())))
		if err != nil {
			return err
		}
		v, err := r.CreateVersion(ctx, Version{WorkerID: w.ID, VersionContent: VersionContent{
			MainModule: "index.js", Modules: []Module{{Name: "index.js", SHA256: sum, Size: size}},
			Bindings: []Binding{{Name: "S", Type: "secret_text", Fields: map[string]json.RawMessage{"text": json.RawMessage(fmt.Sprintf(`"%d"`, i))}}},
		}})
		if err != nil {
			return err
		}
		fmt.Println("version", v.ID)
		live, err = r.CreateDeployment(ctx, Deployment{WorkerID: w.ID, Strategy: "percentage", Shares: []Share{{v.ID, 100}}}, live.ID)
		if err != nil {
			return err
		}
		fmt.Println("deployment", live.ID)
	}
}

// A writer is killed at arbitrary moments, over and over on the same directory.
// What it said was on the disk must be there, and all that is there must be whole.
func TestKilledWriterLeavesAConsistentRegistry(t *testing.T) {
	t.Parallel()
	r := open(t)
	w := worker(t, r, account(t, r), "api")
	for round := range 6 {
		must(t, r.Close())
		told := killedWriter(t, r.Dir(), 3+7*round)
		r = openIn(t, r.Dir())
		checkConsistent(t, r, w)
		for _, line := range told {
			kind, id, _ := strings.Cut(line, " ")
			var err error
			if kind == "version" {
				_, err = r.Version(t.Context(), w.ID, id)
			} else {
				_, err = r.Deployment(t.Context(), w.ID, id)
			}
			if err != nil {
				t.Errorf("round %d: the writer had stored the %s %s: %v", round, kind, id, err)
			}
		}
	}
}

// killedWriter runs a writer, kills it once it has told that many lines, and
// returns every line that it told.
func killedWriter(t *testing.T, dir string, lines int) []string {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var told []string
	for s := bufio.NewScanner(out); s.Scan(); {
		told = append(told, s.Text())
		if len(told) == lines {
			must(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); err == nil || stderr.Len() > 0 || len(told) < lines {
		t.Fatalf("the writer ended by itself after %d lines: %v\n%s", len(told), err, stderr.String())
	}
	return told
}

func checkConsistent(t *testing.T, r *Registry, w Worker) {
	t.Helper()
	var verdict string
	must(t, r.reader.QueryRow(`PRAGMA integrity_check`).Scan(&verdict))
	if verdict != "ok" {
		t.Fatalf("integrity check: %s", verdict)
	}
	versions, total, err := r.Versions(t.Context(), w.ID, false, 1<<20, 0)
	must(t, err)
	for i, v := range versions {
		if v.Number != total-i {
			t.Errorf("version %s has number %d, want %d: a number is missing", v.ID, v.Number, total-i)
		}
		if len(v.Modules) != 1 {
			t.Errorf("version %s has %d modules", v.ID, len(v.Modules))
			continue
		}
		if err := r.VerifyBlob(v.Modules[0].SHA256); err != nil {
			t.Errorf("version %s: %v", v.ID, err)
		}
		if s, err := r.Secrets(t.Context(), v.ID); err != nil || len(s) != 1 {
			t.Errorf("secrets of version %s: %d, %v", v.ID, len(s), err)
		}
	}
	deployments, err := r.Deployments(t.Context(), w.ID, 1<<20)
	must(t, err)
	live, found, err := r.LiveDeployment(t.Context(), w.ID)
	must(t, err)
	if found != (len(deployments) > 0) || (found && live.ID != deployments[0].ID) {
		t.Errorf("live is %q, and the newest of %d deployments is another", live.ID, len(deployments))
	}
	for _, d := range deployments {
		if len(d.Shares) != 1 {
			t.Errorf("deployment %s has %d shares", d.ID, len(d.Shares))
		}
	}
}

// Every change is refused once just before its commit: nothing of it may be there.
func TestFailureBeforeCommitLeavesNothing(t *testing.T) {
	t.Parallel()
	r := open(t)
	a := account(t, r)
	w := worker(t, r, a, "api")
	v := version(t, r, w)
	d := mustDeploy(t, r, w, "", Share{v.ID, 100})
	extra := version(t, r, w)
	dump := func() string {
		var out strings.Builder
		for _, table := range []string{"accounts", "tokens", "workers", "versions", "version_modules", "version_services", "deployments", "deployment_shares"} {
			rows, err := r.reader.Query(`SELECT * FROM ` + table)
			must(t, err)
			columns, err := rows.Columns()
			must(t, err)
			for rows.Next() {
				values := make([]any, len(columns))
				for i := range values {
					values[i] = new(any)
				}
				must(t, rows.Scan(values...))
				for _, v := range values {
					fmt.Fprintf(&out, "%v|", *v.(*any))
				}
				out.WriteString("\n")
			}
			must(t, rows.Err())
			must(t, rows.Close())
		}
		return out.String()
	}
	before := dump()
	injected := errors.New("power cut")
	r.beforeCommit = func(string) error { return injected }
	ctx := t.Context()
	for name, change := range map[string]func() error{
		"account":    func() error { _, err := r.CreateAccount(ctx, "B", "b"); return err },
		"subdomain":  func() error { return r.SetSubdomain(ctx, a.ID, "new") },
		"token":      func() error { _, err := r.CreateToken(ctx, a.ID, "x", MintToken(), nil); return err },
		"worker":     func() error { _, err := r.CreateWorker(ctx, Worker{AccountID: a.ID, Name: "b"}); return err },
		"update":     func() error { u := w; u.Name = "renamed"; _, err := r.UpdateWorker(ctx, u); return err },
		"version":    func() error { _, err := r.CreateVersion(ctx, Version{WorkerID: w.ID}); return err },
		"deployment": func() error { _, err := deploy(r, t, w, d.ID, Share{extra.ID, 100}); return err },
		"no version": func() error { return r.DeleteVersion(ctx, w.ID, extra.ID) },
		"no worker":  func() error { return r.DeleteWorker(ctx, w.ID) },
	} {
		if err := change(); !errors.Is(err, injected) {
			t.Errorf("%s: %v, want the injected failure", name, err)
		}
		if after := dump(); after != before {
			t.Errorf("%s left something:\n%s", name, after)
		}
	}
	r.beforeCommit = nil
	if _, err := deploy(r, t, w, d.ID, Share{extra.ID, 100}); err != nil {
		t.Errorf("the registry does not work after failures: %v", err)
	}
}

func TestDeletingAWorkerTakesEverythingOfIt(t *testing.T) {
	t.Parallel()
	r := open(t)
	w := worker(t, r, account(t, r), "api")
	v := version(t, r, w, Binding{Name: "X", Type: "service", Fields: map[string]json.RawMessage{"service": raw(`"x"`)}})
	mustDeploy(t, r, w, "", Share{v.ID, 100})
	must(t, r.DeleteWorker(t.Context(), w.ID))
	for _, table := range []string{"workers", "versions", "version_modules", "version_services", "deployments", "deployment_shares"} {
		var n int
		must(t, r.reader.QueryRow(`SELECT COUNT(*) FROM `+table).Scan(&n))
		if n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	r = reopen(t, r)
	if entries, err := filepath.Glob(filepath.Join(r.blobs, "*", "*")); err != nil || len(entries) > 0 {
		t.Errorf("blobs are left: %v, %v", entries, err)
	}
}
