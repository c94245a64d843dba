// SPDX-License-Identifier: MPL-2.0

package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/hybridge/terraform-provider-hybridge/internal/ledger"
)

func newRedactor(t *testing.T) Redactor {
	t.Helper()
	key := make([]byte, MinTokenKeyBytes)
	_, _ = rand.Read(key)
	r, err := NewRedactor(key, "2026")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fill puts a canary into every field, and tells its class.
func fill(t *testing.T, v reflect.Value, path string, canaries map[string]string) {
	t.Helper()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		at := strings.TrimPrefix(path+"."+name, ".")
		switch f.Type.Kind() {
		case reflect.Struct:
			fill(t, v.Field(i), at, canaries)
		case reflect.String:
			if f.Type == reflect.TypeFor[Kind]() {
				v.Field(i).SetString(string(KindDeployment))
				continue
			}
			random := make([]byte, 12)
			_, _ = rand.Read(random)
			canary := "canary" + hex.EncodeToString(random)
			v.Field(i).SetString(canary)
			canaries[canary] = f.Tag.Get("audit") + " " + at
		case reflect.Int, reflect.Int64:
			v.Field(i).SetInt(7)
		case reflect.Bool:
			v.Field(i).SetBool(true)
		default:
			t.Errorf("%s.%s has the type %s", v.Type(), f.Name, f.Type)
		}
	}
}

func filled(t *testing.T, d Data) (Data, map[string]string) {
	t.Helper()
	v := reflect.New(reflect.TypeOf(d)).Elem()
	canaries := map[string]string{}
	fill(t, v, "", canaries)
	return v.Interface().(Data), canaries
}

func TestEveryFieldHasAClass(t *testing.T) {
	t.Parallel()
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			if class := f.Tag.Get("audit"); !slices.Contains([]string{"public", "token", "withheld"}, class) {
				t.Errorf("%s.%s has no class: give it public, token or withheld in the tag audit", typ, f.Name)
			}
			if f.Tag.Get("json") == "" {
				t.Errorf("%s.%s has no name", typ, f.Name)
			}
			if f.Type.Kind() == reflect.Struct {
				look(f.Type)
			}
		}
	}
	for _, d := range catalogue {
		look(reflect.TypeOf(d))
	}
}

// unclassified is what somebody may add in haste.
type unclassified struct {
	Password string `json:"password"`
}

func (unclassified) eventType() string { return "agent.started" }

// foreign has a type that the catalogue does not have.
type foreign struct{}

func (foreign) eventType() string { return "foreign.thing" }

func TestWhatHasNoClassIsNotRecorded(t *testing.T) {
	t.Parallel()
	if _, err := newRedactor(t).Redact(Event{Data: unclassified{"hunter2"}}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a field without a class: %v", err)
	}
	if _, err := newRedactor(t).Redact(Event{Data: foreign{}}); err == nil {
		t.Error("an event was recorded that is not in the catalogue")
	}
	if _, err := newRedactor(t).Redact(Event{Data: ChangeIntent{Target: Target{Kind: "spaceship"}}}); err == nil {
		t.Error("a change of an unknown kind was recorded")
	}
}

func TestEveryTypeIsDeclaredInTheCatalogue(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("catalogue.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`func \((?:d )?(\w+)\) eventType`).FindAllSubmatch(source, -1)
	var names []string
	for _, d := range catalogue {
		names = append(names, reflect.TypeOf(d).Name())
	}
	for _, d := range declared {
		if !slices.Contains(names, string(d[1])) {
			t.Errorf("%s is not in the catalogue", d[1])
		}
	}
	if len(declared) != len(names) {
		t.Errorf("%d types are declared, and %d listed", len(declared), len(names))
	}
}

func TestNoCanaryIsInALeaf(t *testing.T) {
	t.Parallel()
	for _, r := range []Redactor{newRedactor(t), {}} {
		for _, kind := range catalogue {
			data, canaries := filled(t, kind)
			entry, err := r.Redact(Event{Source: "/test", Subject: "deployment/api", Data: data})
			if err != nil {
				t.Fatal(err)
			}
			disclosed := map[string]any{}
			for _, text := range entry.Disclosures {
				d, err := ledger.ParseDisclosure(text)
				if err != nil {
					t.Fatal(err)
				}
				disclosed[d.Path] = d.Value
			}
			for canary, what := range canaries {
				class, path, _ := strings.Cut(what, " ")
				inLeaf := bytes.Contains(entry.Leaf, []byte(canary))
				inDisclosures := disclosed[path] == canary
				wantLeaf := class == "public"
				wantDisclosed := class == "withheld" || class == "token" && r.key == nil
				if inLeaf != wantLeaf || inDisclosures != wantDisclosed {
					t.Errorf("%T: %s (%s) is in the leaf: %v, disclosed: %v", data, path, class, inLeaf, inDisclosures)
				}
			}
		}
	}
}

func TestTokensAreEqualForEqualValuesAndCommitmentsAreNot(t *testing.T) {
	t.Parallel()
	r, other := newRedactor(t), newRedactor(t)
	event := Event{ID: "1", Time: time.Unix(0, 0), Data: ChangeIntent{
		Action: "update", Target: Target{Kind: KindDeployment}, Actor: Actor{IP: "192.0.2.1", Email: "eve@example.com"}, Run: Run{Approver: "192.0.2.1"},
	}}
	leaf := func(r Redactor) (ip, approver string, sd []string) {
		entry, err := r.Redact(event)
		if err != nil {
			t.Fatal(err)
		}
		var l struct {
			SD   []string `json:"_sd"`
			Data struct {
				Actor struct{ IP string }
				Run   struct{ Approver string }
			}
		}
		if err := json.Unmarshal(entry.Leaf, &l); err != nil {
			t.Fatal(err)
		}
		return l.Data.Actor.IP, l.Data.Run.Approver, l.SD
	}
	ip, approver, sd := leaf(r)
	again, _, sdAgain := leaf(r)
	foreign, _, _ := leaf(other)
	if ip != again || ip == "" || ip != r.Token("actor.ip", "192.0.2.1") {
		t.Errorf("tokens of equal values are %q and %q", ip, again)
	}
	if ip == approver {
		t.Error("the same value in another field has the same token")
	}
	if ip == foreign {
		t.Error("another key makes the same token")
	}
	if len(sd) != 1 || sd[0] == sdAgain[0] {
		t.Errorf("commitments to equal values are %q and %q", sd, sdAgain)
	}
}

func TestALeafHasOneForm(t *testing.T) {
	t.Parallel()
	entry, err := newRedactor(t).Redact(Event{
		ID: "1", Source: "/provider", Subject: "worker/<api>", Time: time.Date(2026, 11, 25, 1, 2, 3, 4, time.FixedZone("x", 3600)),
		Data: ChangeIntent{Action: "update", Target: Target{Kind: KindWorker, Name: "a\xffb\n\u2028<&>", Plane: "paris"}, After: strings.Repeat("é", 5000)},
	})
	if err != nil {
		t.Fatal(err)
	}
	text := string(entry.Leaf)
	long := regexp.MustCompile(`"after":"[^"]*",`).FindString(text)
	if len(long) > maxText+30 {
		t.Errorf("a field has %d bytes", len(long))
	}
	want := `{"data":{"action":"update","target":{"kind":"worker","name":"a` + "\uFFFD" + `b\n\u2028<&>","plane":"paris"}},` +
		`"id":"1","source":"/provider","specversion":"1.0","subject":"worker/<api>","time":"2026-11-25T00:02:03.000000004Z","type":"worker.intent"}`
	if got := strings.Replace(text, long, "", 1); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnEventIsRecordedDurablyOrNot(t *testing.T) {
	t.Parallel()
	secret, public, err := note.GenerateKey(rand.Reader, "audit.example/laptop")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "audit")
	l, err := ledger.Open(ledger.Config{Dir: dir, Signer: signer, Verifier: verifier})
	if err != nil {
		t.Fatal(err)
	}
	var log Log = File{Ledger: l, Redactor: newRedactor(t)}
	for i, d := range catalogue {
		data, _ := filled(t, d)
		receipt, err := log.Record(t.Context(), Event{Source: "/test", Data: data})
		if err != nil {
			t.Fatal(err)
		}
		if receipt.ID == "" || receipt.At.Seq != int64(i+1) {
			t.Errorf("the receipt is %+v", receipt)
		}
		if _, err := ledger.Find(dir, receipt.ID); err != nil {
			t.Errorf("it is not there: %v", err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	for range 100 { // a select takes either
		if _, err := log.Record(ctx, Event{Data: AgentStopped{}}); err == nil {
			t.Log("it was faster than the context")
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Record(t.Context(), Event{Data: AgentStopped{}}); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("recorded into a closed ledger: %v", err)
	}
	report, err := ledger.Verify(dir, ledger.VerifyOptions{Verifier: verifier})
	if err != nil || !report.OK {
		t.Errorf("%+v %v", report, err)
	}
	fmt.Fprintln(t.Output(), report.Entries, "entries")
}
