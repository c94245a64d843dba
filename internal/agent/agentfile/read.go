// SPDX-License-Identifier: MPL-2.0

package agentfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"
)

// maxBytes bounds agent.yaml: larger than any that a person or a template writes.
const maxBytes = 1 << 20

// Read reads and checks path. getenv answers for ${NAME} in the values of keys
// that end in file, and of listen and address. What the parser refuses is named with line
// and column, what the rules refuse with its key.
func Read(path string, getenv func(string) string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if info.Size() > maxBytes {
		return nil, fmt.Errorf("reading the configuration: %s has %d bytes, more than %d", path, info.Size(), maxBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	f, err := Parse(text, getenv)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Parse is Read of a text.
func Parse(text []byte, getenv func(string) string) (*File, error) {
	var f File
	dec := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict(), yaml.DisallowUnknownField())
	if err := dec.Decode(&f); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it is empty: begin with \"format: 1\"")
		}
		return nil, parseError(err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it holds more than one document: remove what follows \"---\"")
	}
	if err := f.expand(getenv); err != nil {
		return nil, err
	}
	f.defaults()
	if err := f.check(); err != nil {
		return nil, err
	}
	return &f, nil
}

// parseError names line and column and, unlike the parser's own text, quotes
// nothing of the file.
func parseError(err error) error {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		return errors.New(strings.TrimSpace(err.Error()))
	}
	p := at.GetToken().Position
	return fmt.Errorf("line %d, column %d: %s", p.Line, p.Column, at.GetMessage())
}

// Schema is the JSON Schema of agent.yaml.
func Schema() *jsonschema.Schema {
	r := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true}
	s := r.Reflect(&File{})
	s.Title = "agent.yaml, format 1"
	s.Description = "Configuration of hybridge agent."
	return s
}

// JSONSchemaExtend implements jsonschema's interface: one source of the token.
func (Connector) JSONSchemaExtend(s *jsonschema.Schema) {
	s.OneOf = oneOf("token_file", "token_sops", "token_from_api")
}

// JSONSchemaExtend implements jsonschema's interface: one source of the API token.
func (TokenFromAPI) JSONSchemaExtend(s *jsonschema.Schema) {
	s.OneOf = oneOf("api_token_file", "api_token_sops")
}

func oneOf(keys ...string) (out []*jsonschema.Schema) {
	for _, key := range keys {
		out = append(out, &jsonschema.Schema{Required: []string{key}})
	}
	return out
}

// expand replaces ${NAME} where that is allowed.
func (f *File) expand(getenv func(string) string) error {
	var errs []error
	in := func(key string, v *string) {
		*v = os.Expand(escapePlain(*v), func(name string) string {
			if name == "$" {
				return "$"
			}
			value := getenv(name)
			if value == "" {
				errs = append(errs, fmt.Errorf("%s: the environment variable %s is not set", key, name))
			}
			return value
		})
	}
	if p := f.Plane; p != nil {
		in("plane.api.listen", &p.API.Listen)
		in("plane.initial_token_file", &p.InitialTokenFile)
		if p.API.TLS != nil {
			in("plane.api.tls.cert_file", &p.API.TLS.CertFile)
			in("plane.api.tls.key_file", &p.API.TLS.KeyFile)
		}
	}
	if i := f.Ingress; i != nil {
		for n := range i.Listen {
			in(fmt.Sprintf("ingress.listen[%d].address", n), &i.Listen[n].Address)
		}
		for n := range i.Certificates {
			in(fmt.Sprintf("ingress.certificates[%d].cert_file", n), &i.Certificates[n].CertFile)
			in(fmt.Sprintf("ingress.certificates[%d].key_file", n), &i.Certificates[n].KeyFile)
		}
	}
	for name, c := range f.Connectors {
		in("connectors."+name+".token_file", &c.TokenFile)
		for _, s := range c.sops() {
			in("connectors."+name+": file", &s.File)
			in("connectors."+name+": age_identity_file", &s.AgeIdentityFile)
		}
		if c.TokenFromAPI != nil {
			in("connectors."+name+".token_from_api.api_token_file", &c.TokenFromAPI.APITokenFile)
		}
		f.Connectors[name] = c
	}
	in("health.listen", &f.Health.Listen)
	in("health.token_file", &f.Health.TokenFile)
	for n := range f.Alerts.Webhooks {
		in(fmt.Sprintf("alerts.webhooks[%d].secret_file", n), &f.Alerts.Webhooks[n].SecretFile)
	}
	return errors.Join(errs...)
}

// escapePlain leaves only ${NAME} to os.Expand, which would take $NAME too.
func escapePlain(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '$' && !strings.HasPrefix(s[i:], "${") {
			b.WriteString("$$")
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
