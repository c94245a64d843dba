// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// envChild makes the test binary open files as a job says, in an environment of
// its own.
const envChild = "HYBRIDGE_SEALED_CHILD"

func TestMain(m *testing.M) {
	if job := os.Getenv(envChild); job != "" {
		if err := child(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		return
	}
	m.Run()
}

// job is what a child does: it opens a file and reads all keys at the same time.
type job struct {
	File           string
	Keys           []string
	AgeKeyFile     string
	AgeKey         string
	GnuPGHome      string
	VaultAllowlist []string
	Environment    bool
}

type answer struct {
	Code   sealed.Code
	Text   string // of the error
	Values map[string]string
}

func child(text string) error {
	var jobs []job
	if err := json.Unmarshal([]byte(text), &jobs); err != nil {
		return err
	}
	var answers []answer
	for _, j := range jobs {
		answers = append(answers, j.do())
	}
	out, err := json.Marshal(answers)
	if err != nil {
		return err
	}
	// Not on standard output: nothing may stand there.
	_, err = os.NewFile(3, "answer").Write(out)
	return err
}

func (j job) do() answer {
	ids := sealed.Identities{
		AgeKeyFile: j.AgeKeyFile, GnuPGHome: j.GnuPGHome, VaultAllowlist: j.VaultAllowlist, Environment: j.Environment,
	}
	if j.AgeKey != "" {
		ids.AgeKey = sealed.NewSecret(j.AgeKey)
	}
	store := sealed.NewStore(ids)
	a := answer{Values: map[string]string{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, key := range j.Keys {
		wg.Go(func() {
			p, err := sealed.ParsePath(key)
			var value sealed.Secret
			if err == nil {
				value, err = store.Secret(context.Background(), j.File, "", p)
			}
			mu.Lock()
			defer mu.Unlock()
			a.Values[key] = value.Reveal()
			if err != nil {
				a.Code, a.Text = sealed.CodeOf(err), err.Error()
			}
		})
	}
	wg.Wait()
	return a
}

// outside counts the requests that would have left this machine: it is the proxy
// for everything but loopback.
type outside struct {
	*httptest.Server
	requests atomic.Int32
}

func newOutside(t testing.TB) *outside {
	t.Helper()
	o := &outside{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		o.requests.Add(1)
		http.Error(w, "there is no outside", http.StatusForbidden)
	}))
	t.Cleanup(func() {
		o.Close()
		if n := o.requests.Load(); n > 0 {
			t.Errorf("%d requests went for the outside", n)
		}
	})
	return o
}

// run lets a child do the job with these variables alone. Whatever it, or a
// library, writes to its outputs is an error.
func (w workshop) run(j job, env ...string) answer {
	w.t.Helper()
	return w.runAll([]job{j}, env...)[0]
}

// runAll lets one child do several jobs, one after another.
func (w workshop) runAll(jobs []job, env ...string) []answer {
	w.t.Helper()
	text, err := json.Marshal(jobs)
	if err != nil {
		w.t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	defer read.Close()
	proxy := newOutside(w.t).URL
	cmd := exec.CommandContext(w.t.Context(), program)
	cmd.Env = append([]string{
		envChild + "=" + string(text), "HOME=" + w.dir, "PATH=" + os.Getenv("PATH"),
		"HTTP_PROXY=" + proxy, "HTTPS_PROXY=" + proxy, "AWS_EC2_METADATA_DISABLED=true",
	}, env...)
	cmd.Dir = w.dir
	cmd.ExtraFiles = []*os.File{write}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	write.Close()
	if err != nil || output.Len() > 0 {
		w.t.Fatalf("the child: %v\n%s", err, output.String())
	}
	var answers []answer
	if err := json.NewDecoder(read).Decode(&answers); err != nil || len(answers) != len(jobs) {
		w.t.Fatalf("%d answers to %d jobs: %v", len(answers), len(jobs), err)
	}
	return answers
}

// opens fails unless the child's answer is this value of each key.
func (a answer) opens(t testing.TB, want string) {
	t.Helper()
	if a.Code != "" {
		t.Errorf("%s: %s", a.Code, a.Text)
	}
	for key, got := range a.Values {
		if got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// fails fails unless the child's answer is this code, with these texts.
func (a answer) fails(t testing.TB, want sealed.Code, texts ...string) {
	t.Helper()
	if a.Code != want {
		t.Errorf("code %q, want %q: %s", a.Code, want, a.Text)
	}
	for _, text := range texts {
		if !strings.Contains(a.Text, text) {
			t.Errorf("%q is not in %q", text, a.Text)
		}
	}
}
