// SPDX-License-Identifier: MPL-2.0

package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// nonceSize is the size in bytes of the nonce of values that SOPS encrypts.
const nonceSize = 32

// sealedForm is how SOPS writes an encrypted value.
var sealedForm = regexp.MustCompile(`^ENC\[AES256_GCM,data:([A-Za-z0-9+/=]+),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:([a-z]+)\]$`)

// isSealed reports whether text is an encrypted value.
func isSealed(text string) bool { return sealedForm.MatchString(text) }

// boundTo is the additional data of a value: the names on its way.
func boundTo(names []string) string { return strings.Join(names, ":") + ":" }

// openValue decrypts a value. An empty text is what SOPS leaves unencrypted.
func openValue(text string, key []byte, bound string) (value any, nonce []byte, err error) {
	if text == "" {
		return "", nil, nil
	}
	match := sealedForm.FindStringSubmatch(text)
	if match == nil {
		return nil, nil, &Error{Code: NotEncrypted}
	}
	var parts [3][]byte
	for i := range parts {
		if parts[i], err = base64.StdEncoding.DecodeString(match[i+1]); err != nil {
			return nil, nil, &Error{Code: BadCiphertext}
		}
	}
	nonce = parts[1]
	gcm, err := newGCM(key, len(nonce))
	if err != nil {
		return nil, nil, err
	}
	plain, err := gcm.Open(nil, nonce, append(parts[0], parts[2]...), []byte(bound))
	if err != nil {
		return nil, nil, &Error{Code: BadCiphertext}
	}
	if value, err = typed(plain, match[4]); err != nil {
		return nil, nil, err
	}
	return value, nonce, nil
}

// typed reads a decrypted value. The type is not authenticated, so that a wrong
// one must not bring the value into an error.
func typed(plain []byte, kind string) (any, error) {
	text := string(plain)
	switch kind {
	case "str", "bytes":
		return text, nil
	case "int":
		if n, err := strconv.Atoi(text); err == nil {
			return n, nil
		}
	case "float":
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f, nil
		}
	case "bool":
		if b, err := strconv.ParseBool(text); err == nil {
			return b, nil
		}
	case "time":
		var t time.Time
		if t.UnmarshalText(plain) == nil {
			return t, nil
		}
	case "comment":
		return comment{text: text}, nil
	}
	return nil, &Error{Code: BadType}
}

// sealValue encrypts a value. A nonce that was used for this very value at this
// very place may be given again, so that its ciphertext stays the same.
func sealValue(value any, key []byte, bound string, nonce []byte) (string, error) {
	plain, kind, err := canonical(value)
	if err != nil {
		return "", err
	}
	if len(plain) == 0 {
		return "", nil // as SOPS does
	}
	if len(nonce) != nonceSize {
		nonce = make([]byte, nonceSize)
		if _, err := rand.Read(nonce); err != nil {
			return "", &Error{Code: CannotEncrypt}
		}
	}
	gcm, err := newGCM(key, nonceSize)
	if err != nil {
		return "", err
	}
	out := gcm.Seal(nil, nonce, plain, []byte(bound))
	data, tag := out[:len(out)-gcm.Overhead()], out[len(out)-gcm.Overhead():]
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("ENC[AES256_GCM,data:%s,iv:%s,tag:%s,type:%s]", encode(data), encode(nonce), encode(tag), kind), nil
}

func newGCM(key []byte, nonce int) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, &Error{Code: BadMetadata, Detail: "the data key has the wrong length"}
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, nonce)
	if err != nil {
		return nil, &Error{Code: BadCiphertext}
	}
	return gcm, nil
}

// canonical is the text of a value that is encrypted and goes into the MAC, with
// the name of its type. SOPS writes booleans as Python does.
func canonical(value any) (text []byte, kind string, err error) {
	switch v := value.(type) {
	case string:
		return []byte(v), "str", nil
	case int:
		return strconv.AppendInt(nil, int64(v), 10), "int", nil
	case float64:
		return strconv.AppendFloat(nil, v, 'f', -1, 64), "float", nil
	case bool:
		if v {
			return []byte("True"), "bool", nil
		}
		return []byte("False"), "bool", nil
	case time.Time:
		if text, err = v.MarshalText(); err == nil {
			return text, "time", nil
		}
	case comment:
		return []byte(v.text), "comment", nil
	}
	return nil, "", &Error{Code: Malformed, Detail: "a value of a type that SOPS does not know"}
}

// textValue is a scalar as an environment variable would hold it: numbers in decimal,
// booleans as true and false, times as RFC 3339.
func textValue(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case time.Time:
		return v.Format(time.RFC3339Nano), true
	case int, float64:
		text, _, err := canonical(v)
		return string(text), err == nil
	default:
		return "", false
	}
}
