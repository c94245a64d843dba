// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// patience bounds every wait of these tests; it is never reached when they pass.
const patience = time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hybridge": recorded})
}

// TestScripts runs testdata/script: each file is a story that a user could play.
func TestScripts(t *testing.T) {
	t.Parallel()
	workerd := workerdtest.Path(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("HYBRIDGE_WORKERD", workerd)
			env.Values[childrenKey{}] = new([]int)
			return setUpSops(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready":    cmdReady,
			"signal":   cmdSignal,
			"upload":   cmdUpload,
			"api":      cmdAPI,
			"fetch":    cmdFetch,
			"children": cmdChildren,
			"gone":     cmdGone,
			"occupy":   cmdOccupy,
			"mode":     cmdMode,
			"await":    cmdAwait,
			"versions": cmdVersions,
			"seal":     cmdSeal,
			"digest":   cmdDigest,
			"carry":    cmdCarry,
			"doppler":  cmdDoppler,
			"nowhere":  cmdNowhere,
			"token":    cmdToken,
			"record":   cmdRecord,
			"damage":   cmdDamage,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// waitFor calls f until it returns nil.
func waitFor(ts *testscript.TestScript, f func() error) {
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func arguments(ts *testscript.TestScript, neg bool, args []string, least, most int, usage string) {
	if neg || len(args) < least || len(args) > most {
		ts.Fatalf("usage: %s", usage)
	}
}

// cmdReady waits for a file of exports and takes its variables into the script.
func cmdReady(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, 1, "ready ENV-FILE")
	var text []byte
	waitFor(ts, func() (err error) { text, err = os.ReadFile(ts.MkAbs(args[0])); return err })
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok {
			ts.Setenv(name, strings.Trim(value, "'"))
		}
	}
}

// pidOf is the process that has the plane in dir open.
func pidOf(ts *testscript.TestScript, dir string) int {
	var pid int
	waitFor(ts, func() (err error) {
		text, err := os.ReadFile(filepath.Join(ts.MkAbs(dir), "registry.lock"))
		if err != nil {
			return err
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err
	})
	return pid
}

// cmdToken takes the token in a file for what follows.
func cmdToken(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, 1, "token FILE")
	ts.Setenv("CLOUDFLARE_API_TOKEN", strings.TrimSpace(ts.ReadFile(args[0])))
}

// cmdSignal sends a signal to the plane in a directory.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, 2, "signal TERM|INT|KILL DIR")
	s := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}[args[0]]
	ts.Check(syscall.Kill(pidOf(ts, args[1]), s))
}

// cmdUpload uploads a file as a Worker, deploys it, and enables its subdomain.
func cmdUpload(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, 2, "upload WORKER FILE")
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	ts.Check(form.WriteField("metadata", `{"main_module":"index.js","compatibility_date":"2025-09-01"}`))
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="index.js"; filename="index.js"`},
		"Content-Type":        {"application/javascript+module"},
	})
	ts.Check(err)
	_, err = io.WriteString(part, ts.ReadFile(args[1]))
	ts.Check(err)
	ts.Check(form.Close())
	script := "/accounts/" + ts.Getenv("CLOUDFLARE_ACCOUNT_ID") + "/workers/scripts/" + args[0]
	for _, call := range []struct {
		method, path, contentType string
		body                      io.Reader
	}{
		{http.MethodPut, script, form.FormDataContentType(), &body},
		{http.MethodPost, script + "/subdomain", "application/json", strings.NewReader(`{"enabled":true,"previews_enabled":true}`)},
	} {
		status, text := callAPI(ts, call.method, call.path, call.contentType, call.body)
		if status != http.StatusOK {
			ts.Fatalf("%s %s: %d %s", call.method, call.path, status, text)
		}
	}
}

// cmdAPI calls the API of the plane that was last ready, below the account for a
// path without leading slash, and prints status and body.
func cmdAPI(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, 3, "api METHOD PATH [BODY]")
	path := args[1]
	if !strings.HasPrefix(path, "/") {
		path = "/accounts/" + ts.Getenv("CLOUDFLARE_ACCOUNT_ID") + "/" + path
	}
	var body io.Reader
	if len(args) > 2 {
		body = strings.NewReader(args[2])
	}
	status, text := callAPI(ts, args[0], path, "application/json", body)
	fmt.Fprintf(ts.Stdout(), "%d %s\n", status, text)
}

func callAPI(ts *testscript.TestScript, method, path, contentType string, body io.Reader) (int, string) {
	base := ts.Getenv("CLOUDFLARE_BASE_URL")
	if strings.HasPrefix(path, "/hybridge/") {
		base = strings.TrimSuffix(base, "/client/v4")
	}
	req, err := http.NewRequest(method, base+path, body)
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+ts.Getenv("CLOUDFLARE_API_TOKEN"))
	req.Header.Set("Content-Type", contentType)
	return roundTrip(ts, req)
}

// cmdVersions puts what starts the preview hosts of a Worker's versions, oldest
// first, into the variables V1, V2 and so on.
func cmdVersions(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, 1, "versions WORKER")
	_, text := callAPI(ts, http.MethodGet, "/accounts/"+ts.Getenv("CLOUDFLARE_ACCOUNT_ID")+"/workers/scripts/"+args[0]+"/versions", "", nil)
	var list struct {
		Result struct{ Items []struct{ ID string } }
	}
	ts.Check(json.Unmarshal([]byte(text), &list))
	for i, v := range list.Result.Items { // newest first
		ts.Setenv(fmt.Sprintf("V%d", len(list.Result.Items)-i), v.ID[:8])
		ts.Setenv(fmt.Sprintf("VERSION%d", len(list.Result.Items)-i), v.ID)
	}
}

// cmdFetch asks a Worker and prints status and body. The host gets the plane's
// subdomain and domain appended.
func cmdFetch(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, 2, "fetch WORKER [PATH]")
	path := "/"
	if len(args) > 1 {
		path = args[1]
	}
	req, err := http.NewRequest(http.MethodGet, ts.Getenv("HYBRIDGE_INGRESS_URL")+path, nil)
	ts.Check(err)
	req.Host = args[0] + "." + ts.Getenv("HYBRIDGE_SUBDOMAIN") + ".localhost"
	status, text := roundTrip(ts, req)
	fmt.Fprintf(ts.Stdout(), "%d %s\n", status, text)
}

func roundTrip(ts *testscript.TestScript, req *http.Request) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	res, err := tr.RoundTrip(req.WithContext(ctx))
	ts.Check(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	ts.Check(err)
	return res.StatusCode, string(text)
}

type childrenKey struct{}

// cmdChildren remembers the workerd processes of the plane in a directory.
func cmdChildren(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, 1, "children DIR")
	parent := pidOf(ts, args[0])
	kept := ts.Value(childrenKey{}).(*[]int)
	*kept = nil
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	ts.Check(err)
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) || !strings.Contains(string(text), "(workerd)") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		ts.Check(err)
		*kept = append(*kept, pid)
	}
	if len(*kept) == 0 {
		ts.Fatalf("the plane in %s runs no workerd", args[0])
	}
}

// cmdGone waits until the remembered processes do not run any more.
func cmdGone(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 0, 0, "gone")
	for _, pid := range *ts.Value(childrenKey{}).(*[]int) {
		waitFor(ts, func() error {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || strings.Contains(string(text), ") Z ") {
				return nil
			}
			return fmt.Errorf("workerd with pid %d is still there", pid)
		})
	}
}

// cmdOccupy listens on a free port, as another program would, and puts its
// number into $PORT.
func cmdOccupy(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 0, 0, "occupy")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
	_, port, err := net.SplitHostPort(ln.Addr().String())
	ts.Check(err)
	ts.Setenv("PORT", port)
}

// cmdMode checks the permissions of a file.
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, 2, "mode OCTAL FILE")
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// cmdAwait waits until a file exists, or contains a text.
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, 2, "await FILE [TEXT]")
	waitFor(ts, func() error {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && len(args) > 1 && !bytes.Contains(text, []byte(args[1])) {
			err = fmt.Errorf("%s does not contain %q", args[0], args[1])
		}
		return err
	})
}
