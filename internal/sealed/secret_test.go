// SPDX-License-Identifier: MPL-2.0

package sealed_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"github.com/hashicorp/go-hclog"
	"go.yaml.in/yaml/v3"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest/canary"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

type holder struct {
	Name   string
	Secret sealed.Secret
	hidden sealed.Secret
	Inner  *holder
}

func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	text := newCanary(t)
	secret := sealed.NewSecret(text)
	outer := holder{Name: "outer", Secret: secret, hidden: secret, Inner: &holder{Secret: secret, hidden: secret}}
	things := map[string]any{
		"secret": secret, "pointer": &secret, "struct": outer, "pointer to struct": &outer,
		"map": map[string]sealed.Secret{"a": secret}, "list": []sealed.Secret{secret}, "struct in list": []holder{outer},
		"identities": sealed.Identities{AgeKey: secret}, "store": sealed.NewStore(sealed.Identities{AgeKey: secret}),
		"entry":          sealed.Entry{Name: "a", Value: secret},
		"hidden":         struct{ s []sealed.Secret }{[]sealed.Secret{secret}},
		"hidden pointer": struct{ s *sealed.Secret }{&secret},
	}
	for name, thing := range things {
		for _, verb := range "vsdqxXtTcbopeEfFgGUw" {
			for _, flags := range []string{"", "+", "#", " ", "0", "-", "20", ".3", "# ", "+#"} {
				mustHide(t, name, fmt.Sprintf("%"+flags+string(verb), thing), text)
			}
		}
		out, err := json.Marshal(thing)
		mustHide(t, name+" as JSON", fmt.Sprint(string(out), err), text)
		out, err = xml.Marshal(thing)
		mustHide(t, name+" as XML", fmt.Sprint(string(out), err), text)

		var buffer bytes.Buffer
		slog.New(slog.NewTextHandler(&buffer, nil)).Info("slog", "thing", thing)
		slog.New(slog.NewJSONHandler(&buffer, nil)).Info("slog", "thing", thing)
		hclog.New(&hclog.LoggerOptions{Output: &buffer}).Info("hclog", "thing", thing)
		hclog.New(&hclog.LoggerOptions{Output: &buffer, JSONFormat: true}).Info("hclog", "thing", thing)
		err = template.Must(template.New("").Parse("{{.}} {{printf `%#v` .}} {{print .}}")).Execute(&buffer, thing)
		mustHide(t, name+" in a log", fmt.Sprint(buffer.String(), err), text)
	}
	out, err := yaml.Marshal(map[string]any{"a": secret, "b": outer.Secret})
	mustHide(t, "YAML", fmt.Sprint(string(out), err), text)
	for name, got := range map[string]string{
		"String": secret.String(), "GoString": secret.GoString(), "%v": fmt.Sprintf("%v", secret), "%d": fmt.Sprintf("%d", secret), "%#v": fmt.Sprintf("%#v", secret),
	} {
		if got != "[secret]" {
			t.Errorf("%s gives %q", name, got)
		}
	}
	if out, err := json.Marshal(outer.Secret); err != nil || string(out) != `"[secret]"` {
		t.Errorf("JSON is %s, %v", out, err)
	}
	if secret.Reveal() != text || secret.Empty() || !(sealed.Secret{}).Empty() || (sealed.Secret{}).Reveal() != "" {
		t.Error("the value itself is lost")
	}
	if got := fmt.Sprintf("%+v", outer); !strings.Contains(got, "Secret:[secret]") {
		t.Errorf("a struct prints as %s", got)
	}
}

func mustHide(t *testing.T, what, printed, secret string) {
	t.Helper()
	if forms := canary.In([]byte(printed), secret); len(forms) > 0 {
		t.Errorf("%s shows the secret (%v): %s", what, forms, printed)
	}
}

func TestAnOpenedFilePrintsNoValue(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	text := newCanary(t)
	w.encrypt("a.yaml", "a: "+text+"\n")
	store := sealed.NewStore(sealed.Identities{AgeKey: w.identity})
	o, err := store.Open(t.Context(), w.parse("a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(strings.TrimSpace(w.identity.Reveal()), "AGE-SECRET-KEY-")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		mustHide(t, format, fmt.Sprintf(format, o), text)
		mustHide(t, format+" of the value", fmt.Sprintf(format, *o), text)
		mustHide(t, format+" of a holder", fmt.Sprintf(format, struct{ o *sealed.Opened }{o}), text)
		mustHide(t, format+" of the store", fmt.Sprintf(format, store), key)
		mustHide(t, format+" of a holder of the store", fmt.Sprintf(format, struct{ s *sealed.Store }{store}), key)
	}
}
