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
	"strings"

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

// ErrNoPlane says that the environment names no plane.
var ErrNoPlane = errors.New("no plane is known")

// Environment is the plane that the environment names, as the provider has it.
func Environment(getenv func(string) string, userAgent string) (Plane, error) {
	for _, name := range []string{envToken, envAccount} {
		if getenv(name) == "" {
			return Plane{}, fmt.Errorf("%w: set %s and %s (and %s, if it is not Cloudflare)", ErrNoPlane, envToken, envAccount, envBaseURL)
		}
	}
	access, err := cloudflare.AccessFromEnvironment(getenv(envBaseURL), getenv)
	if err != nil {
		return Plane{}, err
	}
	return Plane{Name: "default", Open: func(context.Context) (*cloudflare.Client, error) {
		return cloudflare.New(cloudflare.Config{
			BaseURL: getenv(envBaseURL), AccountID: getenv(envAccount), Token: getenv(envToken), Access: access, UserAgent: userAgent, MaxRetries: &retries,
		})
	}}, nil
}

// planeEntry is one plane in a file of planes.
type planeEntry struct {
	BaseURL      string     `yaml:"base_url"`
	AccountID    string     `yaml:"account_id"`
	APITokenSops *sopsValue `yaml:"api_token_sops"`
	APITokenEnv  string     `yaml:"api_token_env"`
	// Access is a service token, if Cloudflare Access stands before the plane.
	Access *accessEntry `yaml:"access"`
}

type accessEntry struct {
	ClientID         string     `yaml:"client_id"`
	ClientSecretSops *sopsValue `yaml:"client_secret_sops"`
	ClientSecretEnv  string     `yaml:"client_secret_env"`
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
		case e.Access != nil && ((e.Access.ClientSecretSops == nil) == (e.Access.ClientSecretEnv == "") || e.Access.ClientSecretSops != nil && e.Access.ClientSecretSops.File == ""):
			return nil, fmt.Errorf("%s: access of plane %q needs client_id and either client_secret_sops (file and key) or client_secret_env", path, name)
		}
		planes = append(planes, Plane{Name: name, Open: func(ctx context.Context) (*cloudflare.Client, error) {
			where := keyStore{dir: filepath.Dir(path), store: store, getenv: getenv}
			token, err := where.key(ctx, "api_token_env", e.APITokenEnv, e.APITokenSops)
			if err != nil {
				return nil, err
			}
			var access *cloudflare.Access
			if e.Access != nil {
				secret, err := where.key(ctx, "client_secret_env", e.Access.ClientSecretEnv, e.Access.ClientSecretSops)
				if err != nil {
					return nil, err
				}
				access = &cloudflare.Access{ClientID: e.Access.ClientID, ClientSecret: strings.TrimRight(secret.Reveal(), "\r\n")}
			}
			return cloudflare.New(cloudflare.Config{
				Plane: name, BaseURL: e.BaseURL, AccountID: e.AccountID, Token: token.Reveal(), Access: access, UserAgent: userAgent, MaxRetries: &retries,
			})
		}})
	}
	return planes, nil
}

// keyStore is where the keys of planes lie.
type keyStore struct {
	dir    string // of relative paths
	store  *sealed.Store
	getenv func(string) string
}

// key reads the value of the variable env, which the attribute called name names, or
// the one in a SOPS file.
func (s keyStore) key(ctx context.Context, name, env string, sops *sopsValue) (sealed.Secret, error) {
	if sops == nil {
		value := sealed.NewSecret(s.getenv(env))
		if value.Empty() {
			return value, fmt.Errorf("the environment variable %s (%s) is not set: set it to what this plane wants", env, name)
		}
		return value, nil
	}
	key, err := sealed.ParsePath(sops.Key)
	if err != nil {
		return sealed.Secret{}, err
	}
	file := sops.File
	if !filepath.IsAbs(file) {
		file = filepath.Join(s.dir, file)
	}
	return s.store.Secret(ctx, file, "", key)
}

const planesForm = "it is YAML, for each plane a name with base_url, account_id, and api_token_sops (file and key) or api_token_env, " +
	"and, behind Cloudflare Access, access with client_id and client_secret_sops or client_secret_env"

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
