// SPDX-License-Identifier: MPL-2.0

package leak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/hybridge/terraform-provider-hybridge/internal/cloudflare"
	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// Variables of the plane that needs no file.
const (
	envToken   = "CLOUDFLARE_API_TOKEN"
	envAccount = "CLOUDFLARE_ACCOUNT_ID"
	envBaseURL = "CLOUDFLARE_BASE_URL"
)

// retries is less than what an apply bears: whoever looks for a leak rather hears
// at once which plane is down.
var retries = 2

// Environment is the plane that the environment names, as the provider has it.
func Environment(getenv func(string) string, userAgent string) (Plane, error) {
	for _, name := range []string{envToken, envAccount} {
		if getenv(name) == "" {
			return Plane{}, fmt.Errorf("no plane is known: set %s and %s (and %s, if it is not Cloudflare), or name planes in a file with --planes", envToken, envAccount, envBaseURL)
		}
	}
	return Plane{Name: "default", Open: func(context.Context) (*cloudflare.Client, error) {
		return cloudflare.New(cloudflare.Config{
			BaseURL: getenv(envBaseURL), AccountID: getenv(envAccount), Token: getenv(envToken), UserAgent: userAgent, MaxRetries: &retries,
		})
	}}, nil
}

// planeEntry is one plane in a file of planes.
type planeEntry struct {
	BaseURL      string     `yaml:"base_url"`
	AccountID    string     `yaml:"account_id"`
	APITokenSops *sopsValue `yaml:"api_token_sops"`
	APITokenEnv  string     `yaml:"api_token_env"`
}

type sopsValue struct {
	File string `yaml:"file"`
	Key  string `yaml:"key"`
}

// ReadPlanes reads a file of planes: YAML, a map of planes by name. A path in it
// is relative to the file. Tokens are looked for when a plane is opened.
func ReadPlanes(path string, store *sealed.Store, getenv func(string) string, userAgent string) ([]Plane, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, fmt.Errorf("reading %s: %w: check --planes", path, err)
	}
	var entries map[string]*planeEntry
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&entries); err != nil {
		return nil, unreadablePlanes(path, err)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s names no plane: %s", path, planesForm)
	}
	var planes []Plane
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		switch {
		case e == nil || e.AccountID == "":
			return nil, fmt.Errorf("%s: plane %q has no account_id: %s", path, name, planesForm)
		case (e.APITokenSops == nil) == (e.APITokenEnv == ""):
			return nil, fmt.Errorf("%s: plane %q needs either api_token_sops or api_token_env: %s", path, name, planesForm)
		case e.APITokenSops != nil && e.APITokenSops.File == "":
			return nil, fmt.Errorf("%s: api_token_sops of plane %q has no file: %s", path, name, planesForm)
		}
		planes = append(planes, Plane{Name: name, Open: func(ctx context.Context) (*cloudflare.Client, error) {
			token, err := e.token(ctx, filepath.Dir(path), store, getenv)
			if err != nil {
				return nil, err
			}
			return cloudflare.New(cloudflare.Config{
				Plane: name, BaseURL: e.BaseURL, AccountID: e.AccountID, Token: token.Reveal(), UserAgent: userAgent, MaxRetries: &retries,
			})
		}})
	}
	return planes, nil
}

func (e planeEntry) token(ctx context.Context, dir string, store *sealed.Store, getenv func(string) string) (sealed.Secret, error) {
	if e.APITokenSops == nil {
		token := sealed.NewSecret(getenv(e.APITokenEnv))
		if token.Empty() {
			return token, fmt.Errorf("the environment variable %s (api_token_env) is not set: set it to the plane's token", e.APITokenEnv)
		}
		return token, nil
	}
	key, err := sealed.ParsePath(e.APITokenSops.Key)
	if err != nil {
		return sealed.Secret{}, err
	}
	file := e.APITokenSops.File
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	return store.Secret(ctx, file, "", key)
}

const planesForm = "it is YAML, for each plane a name with base_url, account_id, and api_token_sops (file and key) or api_token_env"

// unreadablePlanes says where the file is wrong. What the parser says beyond that
// quotes the file, and who writes a token into it has made a mistake already.
func unreadablePlanes(path string, err error) error {
	at := ""
	var e yaml.Error
	if errors.As(err, &e) {
		if token := e.GetToken(); token != nil && token.Position != nil {
			at = fmt.Sprintf(", line %d", token.Position.Line)
		}
	}
	return fmt.Errorf("%s%s cannot be read: %s; nothing else may stand there", path, at, planesForm)
}
