// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	fage "filippo.io/age"
	"filippo.io/age/agessh"
	"github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/pgp"
)

// keyTimeout bounds the question to one key service. Without credentials the
// clients of some clouds wait much longer for a metadata server.
const keyTimeout = 30 * time.Second

// Identities say with what files are opened. The zero value opens nothing.
type Identities struct {
	// AgeKeyFile is a file of age identities, or one SSH private key. It MUST be
	// regular, owned by the user and closed to everybody else.
	AgeKeyFile string
	// AgeKey holds age identities, one in each line.
	AgeKey Secret
	// GnuPGHome is the directory of GnuPG's keys.
	GnuPGHome string
	// VaultAllowlist are the addresses of Vault servers that may be sent a token.
	// A file names the server, so whoever can change a file could else collect it.
	// The element "all" allows every server.
	VaultAllowlist []string
	// Environment also uses what SOPS itself looks at: its variables and key
	// files, and the credentials of cloud SDKs, Vault and GnuPG. Keys of these
	// kinds work with it alone.
	Environment bool
	// Pending, if not empty, says which of these is not known yet. Then nothing is
	// opened: with what is known, another identity could stand in for it.
	Pending string
}

// keyring is Identities that were looked at once.
type keyring struct {
	ids Identities

	once sync.Once
	age  age.ParsedIdentities
	err  error // what is wrong with the explicit age identities
}

// explicit returns the age identities that were given explicitly.
func (k *keyring) explicit() (age.ParsedIdentities, error) {
	k.once.Do(func() {
		if k.ids.AgeKeyFile != "" {
			text, err := ReadKeyFile(k.ids.AgeKeyFile)
			if err != nil {
				k.err = err
				return
			}
			if k.err = importIdentities(&k.age, text); k.err != nil {
				k.err = located(k.err, KeyFileBad, k.ids.AgeKeyFile, "")
				return
			}
		}
		if !k.ids.AgeKey.Empty() {
			if err := importIdentities(&k.age, []byte(k.ids.AgeKey.Reveal())); err != nil {
				k.err = located(err, KeyFileBad, "", "")
			}
		}
	})
	return k.age, k.err
}

// CheckAgeKey reports what is wrong with a text of age identities.
func CheckAgeKey(text Secret) error {
	var ignored age.ParsedIdentities
	return importIdentities(&ignored, []byte(text.Reveal()))
}

// importIdentities reads lines of age identities, or one SSH private key.
func importIdentities(into *age.ParsedIdentities, text []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN ")) {
		id, err := agessh.ParseIdentity(text)
		if err != nil {
			return &Error{Code: KeyFileBad}
		}
		*into = append(*into, id)
		return nil
	}
	var trimmed []string
	for line := range strings.SplitSeq(string(text), "\n") {
		trimmed = append(trimmed, strings.TrimSpace(line))
	}
	before := len(*into)
	if err := into.Import(trimmed...); err != nil || len(*into) == before {
		return &Error{Code: KeyFileBad} // the error can quote the line
	}
	return nil
}

// dataKey opens the data key of a file.
func (k *keyring) dataKey(ctx context.Context, groups []group, threshold int, combine func([][]byte) ([]byte, error)) ([]byte, error) {
	if k.ids.Pending != "" {
		return nil, fail(IdentityPending, "%s; recipients: %s", k.ids.Pending, listed(recipients(groups)))
	}
	var parts [][]byte
	var problems []string
	for _, g := range groups {
		part, why, err := k.openGroup(ctx, g)
		if err != nil {
			return nil, err
		}
		if part != nil {
			parts = append(parts, part)
		}
		problems = append(problems, why...)
		if len(parts) == threshold {
			break
		}
	}
	if len(parts) < threshold {
		return nil, k.noIdentity(groups, len(parts), threshold, problems)
	}
	if len(groups) == 1 {
		return parts[0], nil
	}
	key, err := combine(parts)
	if err != nil {
		return nil, fail(BadMetadata, "the parts of the data key do not fit together")
	}
	return key, nil
}

func (k *keyring) noIdentity(groups []group, got, threshold int, problems []string) *Error {
	e := fail(NoIdentity, "recipients: %s", listed(recipients(groups)))
	if len(groups) > 1 {
		e = fail(NoIdentity, "%d of %d key groups opened, %d are needed; recipients: %s", got, len(groups), threshold, listed(recipients(groups)))
	}
	if len(problems) > 0 {
		e.Detail += "; " + strings.Join(slices.Compact(problems), "; ")
	}
	return e
}

// openGroup tries the keys in order. why holds fixed texts about those that could
// not even be tried.
func (k *keyring) openGroup(ctx context.Context, g group) (part []byte, why []string, err error) {
	for _, key := range g {
		part, reason, err := k.open(ctx, key)
		if err != nil || part != nil {
			return part, nil, err
		}
		if reason != "" {
			why = append(why, reason)
		}
	}
	return nil, why, nil
}

// open returns nil without an error if this key cannot be opened. An error is
// about something that the user has to mend first.
func (k *keyring) open(ctx context.Context, key keys.MasterKey) (part []byte, reason string, err error) {
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	switch key := key.(type) {
	case *age.MasterKey:
		return k.openAge(key)
	case *pgp.MasterKey:
		if k.ids.GnuPGHome == "" && !k.ids.Environment {
			return nil, "PGP keys need gnupg_home", nil
		}
		if k.ids.GnuPGHome != "" {
			pgp.GnuPGHome(k.ids.GnuPGHome).ApplyToMasterKey(key)
		}
		return asked(ctx, key)
	case *hcvault.MasterKey:
		if !k.vaultAllowed(key.VaultAddress) {
			return nil, "the Vault server " + hostOf(key.VaultAddress) + " is not in vault_allowlist", nil
		}
	}
	if !k.ids.Environment {
		return nil, key.TypeToIdentifier() + " keys need credentials from the environment, which is switched off", nil
	}
	return asked(ctx, key)
}

func (k *keyring) openAge(key *age.MasterKey) ([]byte, string, error) {
	explicit, err := k.explicit()
	missing := ""
	if CodeOf(err) == KeyFileMissing {
		missing = "the key file " + k.ids.AgeKeyFile + " cannot be read" // then whoever has a key is of interest
	} else if err != nil {
		return nil, "", err
	}
	if len(explicit) > 0 {
		explicit.ApplyToMasterKey(key)
		if part, err := key.Decrypt(); err == nil {
			return part, "", nil
		}
	}
	if !k.ids.Environment {
		return nil, missing, nil
	}
	if err := checkUsualKeyFiles(); err != nil {
		return nil, "", err
	}
	bare := &age.MasterKey{Recipient: key.Recipient, EncryptedKey: key.EncryptedKey}
	part, err := bare.Decrypt()
	if err != nil {
		return nil, missing, nil //nolint:nilerr // no identity fits: the caller says so
	}
	return part, "", nil
}

// asked opens a key that a program or a service opens.
func asked(ctx context.Context, key keys.MasterKey) ([]byte, string, error) {
	decrypt := func() ([]byte, error) { return key.Decrypt() }
	if c, ok := key.(interface {
		DecryptContext(context.Context) ([]byte, error)
	}); ok {
		decrypt = func() ([]byte, error) { return c.DecryptContext(ctx) }
	}
	part, err := decrypt()
	switch {
	case err == nil:
		return part, "", nil
	case errors.Is(err, context.DeadlineExceeded):
		return nil, "no answer in time about " + describe(key), nil
	default:
		return nil, describe(key) + " did not open", nil
	}
}

// vaultAllowed compares origins, and the path by whole segments.
func (k *keyring) vaultAllowed(address string) bool {
	if slices.Contains(k.ids.VaultAllowlist, "all") {
		return true
	}
	wanted, err := url.Parse(address)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(k.ids.VaultAllowlist, func(entry string) bool {
		allowed, err := url.Parse(entry)
		return err == nil && allowed.Scheme == wanted.Scheme && strings.EqualFold(allowed.Host, wanted.Host) && wanted.User == nil &&
			strings.HasPrefix(strings.TrimSuffix(wanted.Path, "/")+"/", strings.TrimSuffix(allowed.Path, "/")+"/")
	})
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "(of an unreadable address)"
	}
	return u.Scheme + "://" + u.Host
}

// Variables and files in which SOPS looks for age identities.
const (
	envAgeKeyFile = "SOPS_AGE_KEY_FILE"
	usualKeyFile  = "sops/age/keys.txt"
)

// checkUsualKeyFiles holds the key files that SOPS finds by itself to the same
// rules as one that is named.
func checkUsualKeyFiles() error {
	var files []string
	if path := os.Getenv(envAgeKeyFile); path != "" {
		files = append(files, path)
	}
	if dir, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(dir, filepath.FromSlash(usualKeyFile)))
	}
	for _, path := range files {
		if err := CheckKeyFile(path); err != nil && CodeOf(err) != KeyFileMissing {
			return err
		}
	}
	return nil
}

// NewAgeKey makes an age identity: the text of a key file, and its recipient.
func NewAgeKey(now time.Time) (file Secret, recipient string, err error) {
	id, err := fage.GenerateX25519Identity()
	if err != nil {
		return Secret{}, "", &Error{Code: CannotEncrypt, Detail: "no random numbers"}
	}
	recipient = id.Recipient().String()
	return NewSecret("# created: " + now.UTC().Format(time.RFC3339) + "\n# public key: " + recipient + "\n" + id.String() + "\n"), recipient, nil
}
