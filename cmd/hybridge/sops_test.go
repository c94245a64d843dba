// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// dopplerToken is what the fake Doppler takes.
const dopplerToken = "dp.st.canary"

// saidVariable names the file in which recorded keeps what commands are told and
// say.
const saidVariable = "HYBRIDGE_TEST_SAID"

// recorded is the program. What it is told and says as `hybridge sops` is kept, so
// that a script can look for secrets there.
func recorded() {
	path := os.Getenv(saidVariable)
	if path == "" || len(os.Args) < 2 || os.Args[1] != "sops" {
		main()
		return
	}
	said, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(said, "$ %q\n", os.Args)
	os.Exit(run(os.Args[1:], process{
		stdin: os.Stdin, stdout: io.MultiWriter(os.Stdout, said), stderr: io.MultiWriter(os.Stderr, said), getenv: os.Getenv,
	}))
}

// setUpSops gives a script a random secret, and the real sops program.
func setUpSops(env *testscript.Env) error {
	program := os.Getenv("HYBRIDGE_SOPS")
	if program == "" {
		program = filepath.Join("..", "..", ".cache", "bin", "sops")
	}
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("the sops program is missing: run `make tools`, or set HYBRIDGE_SOPS: %w", err)
	}
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	env.Setenv("SOPS", program)
	env.Setenv("CANARY", "canary"+hex.EncodeToString(random))
	env.Setenv("TOKEN", dopplerToken)
	env.Setenv(saidVariable, filepath.Join(env.WorkDir, "said.txt"))
	return nil
}

// keysOf is the key file that `hybridge sops init` has made.
func keysOf(ts *testscript.TestScript) string {
	return filepath.Join(ts.Getenv("HOME"), ".config", "sops", "age", "keys.txt")
}

// cmdSeal writes a SOPS file for the script's own key.
func cmdSeal(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, 9, "seal FILE NAME=VALUE...")
	_, after, _ := strings.Cut(ts.ReadFile(keysOf(ts)), "# public key: ")
	recipient, _, _ := strings.Cut(after, "\n")
	to, err := sealed.AgeRecipients(recipient)
	ts.Check(err)
	var entries []sealed.Entry
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		entries = append(entries, sealed.Entry{Name: name, Value: sealed.NewSecret(value)})
	}
	path := ts.MkAbs(args[0])
	text, err := sealed.Seal(path, sealed.FormatOf(path), entries, to, time.Now())
	ts.Check(err)
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
	ts.Check(os.WriteFile(path, text, 0o600))
}

func digestIn(ts *testscript.TestScript, file, name string) string {
	f, err := sealed.Read(ts.MkAbs(file), "")
	ts.Check(err)
	digest, err := f.Digest(sealed.Path{name})
	ts.Check(err)
	return digest
}

// cmdDigest puts the digest of a value into $DIGEST.
func cmdDigest(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, 2, "digest FILE NAME")
	ts.Setenv("DIGEST", digestIn(ts, args[0], args[1]))
}

// cmdCarry uploads and deploys a version that says, as the provider does, that it
// carries a secret.
func cmdCarry(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 3, 3, "carry WORKER FILE NAME")
	message := cloudflare.Marking{
		Marker:  cloudflare.DigestMarker(sha256.Sum256([]byte(args[0]))),
		Secrets: []string{cloudflare.SecretPrefix(digestIn(ts, args[1], args[2]))},
		Message: "a release",
	}.String()
	metadata, err := json.Marshal(map[string]any{
		"main_module": "index.js", "compatibility_date": "2025-09-01", "annotations": map[string]string{cloudflare.AnnotationMessage: message},
	})
	ts.Check(err)
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	ts.Check(form.WriteField("metadata", string(metadata)))
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="index.js"; filename="index.js"`},
		"Content-Type":        {"application/javascript+module"},
	})
	ts.Check(err)
	_, err = io.WriteString(part, ts.ReadFile("index.js"))
	ts.Check(err)
	ts.Check(form.Close())
	script := "/accounts/" + ts.Getenv("CLOUDFLARE_ACCOUNT_ID") + "/workers/scripts/" + args[0]
	status, text := callAPI(ts, http.MethodPut, script, form.FormDataContentType(), &body)
	if status != http.StatusOK {
		ts.Fatalf("uploading %s: %d %s", args[0], status, text)
	}
}

// cmdDoppler starts a Doppler with one config, whose token is in $DOPPLER_TOKEN
// and whose address is in $DOPPLER.
func cmdDoppler(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, 9, "doppler PROJECT CONFIG NAME=VALUE...")
	secrets := map[string]string{"DOPPLER_PROJECT": args[0], "DOPPLER_CONFIG": args[1], "DOPPLER_ENVIRONMENT": args[1]}
	for _, arg := range args[2:] {
		name, value, _ := strings.Cut(arg, "=")
		secrets[name] = value
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path != "/v3/configs/config/secrets/download" || r.URL.Query().Get("format") != "json":
			w.WriteHeader(http.StatusNotFound)
		case r.Header.Get("Authorization") != "Bearer "+dopplerToken:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"success":false,"messages":["Invalid token %s"]}`, r.Header.Get("Authorization"))
		default:
			_ = json.NewEncoder(w).Encode(secrets)
		}
	}))
	ts.Defer(server.Close)
	ts.Setenv("DOPPLER", server.URL)
	ts.Setenv("DOPPLER_TOKEN", dopplerToken)
}

// cmdNowhere looks for a secret, in every form, in all files of the script: what
// commands were told and printed, what they wrote, and what they left.
func cmdNowhere(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, 1, "nowhere SECRET")
	work := ts.Getenv("WORK")
	if _, err := os.Stat(ts.Getenv(saidVariable)); err != nil {
		ts.Fatalf("nothing was recorded: %v", err)
	}
	ts.Check(filepath.WalkDir(work, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if forms := canary.In(text, args[0]); len(forms) > 0 {
			return fmt.Errorf("%s holds the secret (%s)", path, strings.Join(slices.Sorted(slices.Values(forms)), ", "))
		}
		return nil
	}))
}
