package entrasim

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

const (
	// backdated is how far iat and nbf lie back, so that a client whose clock
	// is a little slow accepts the token.
	backdated = 5 * time.Minute
	// idTokenLifetime counts from iat.
	idTokenLifetime = 3900 * time.Second
	// maxGroups is how many groups fit into a token.
	maxGroups = 200
)

// MutateClaims changes the claims of the next id_token before it is signed.
// Several mutations wait for one token each.
func (s *Sim) MutateClaims(change func(claims map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims = append(s.claims, change)
}

// MutateHeader changes the header of the next id_token before it is signed.
// The signature follows alg: RS256, HS256 under the public key (which anybody
// can compute), and none at all for "none".
func (s *Sim) MutateHeader(change func(header map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers = append(s.headers, change)
}

// idToken signs who it is.
func (s *Sim) idToken(base string, in signIn) (string, error) {
	claims := idTokenClaims(base, in, s.now())
	s.mu.Lock()
	key := s.signing
	if in.user.TenantID == PersonalTenant {
		key = s.personal
	}
	changeClaims, changeHeader := next(&s.claims), next(&s.headers)
	s.mu.Unlock()
	header := map[string]any{"typ": "JWT", "alg": "RS256", "kid": key.ID}
	changeClaims(claims)
	changeHeader(header)
	return sign(header, claims, key.private)
}

// next takes the first mutation that waits, or one that changes nothing.
func next(waiting *[]func(map[string]any)) func(map[string]any) {
	if len(*waiting) == 0 {
		return func(map[string]any) {}
	}
	first := (*waiting)[0]
	*waiting = (*waiting)[1:]
	return first
}

// idTokenClaims are the claims of a v2.0 id_token.
func idTokenClaims(base string, in signIn, now time.Time) map[string]any {
	u, app := in.user, in.app
	issuedAt := now.Add(-backdated).Unix()
	sub := sha256.Sum256([]byte(app.ClientID + " " + u.TenantID + " " + u.ObjectID)) // pairwise
	claims := map[string]any{
		"ver": "2.0",
		"iss": issuer(base, u.TenantID),
		"aud": app.ClientID,
		"sub": base64.RawURLEncoding.EncodeToString(sub[:]),
		"iat": issuedAt,
		"nbf": issuedAt,
		"exp": issuedAt + int64(idTokenLifetime/time.Second),
		"aio": randomText(96),
		"rh":  "1." + randomText(42),
		"uti": randomText(16),
	}
	put := func(name string, value string, when bool) {
		if when && value != "" {
			claims[name] = value
		}
	}
	profile, email := slices.Contains(in.scopes, "profile"), slices.Contains(in.scopes, "email")
	put("oid", u.ObjectID, profile)
	put("tid", u.TenantID, profile)
	put("name", u.Name, profile)
	put("preferred_username", u.Username, profile)
	put("email", u.Email, email)
	put("nonce", in.nonce, true)
	put("idp", u.HomeIDP, true)
	put("sid", in.session, app.SessionClaim)
	if app.AcctClaim {
		claims["acct"] = 0
		if u.HomeIDP != "" {
			claims["acct"] = 1
		}
	}
	if len(u.Roles) > 0 {
		claims["roles"] = u.Roles
	}
	if app.GroupClaims {
		addGroups(claims, u)
	}
	return claims
}

// addGroups lists the groups, or says where to ask when they are too many. That
// place is the retired Azure AD Graph, as in real tokens: never to be called.
func addGroups(claims map[string]any, u *User) {
	switch n := len(u.Groups); {
	case n == 0:
	case n <= maxGroups:
		claims["groups"] = u.Groups
	default:
		claims["_claim_names"] = map[string]string{"groups": "src1"}
		claims["_claim_sources"] = map[string]any{"src1": map[string]string{
			"endpoint": fmt.Sprintf("https://graph.windows.net/%s/users/%s/getMemberObjects", u.TenantID, u.ObjectID),
		}}
	}
}

// sign makes a compact JWS (RFC 7515 §7.1).
func sign(header, claims map[string]any, key *rsa.PrivateKey) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("header of the id_token: %w", err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("claims of the id_token: %w", err)
	}
	input := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	signature, err := signature(header["alg"], []byte(input), key)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

func signature(alg any, input []byte, key *rsa.PrivateKey) ([]byte, error) {
	switch alg {
	case "RS256":
		digest := sha256.Sum256(input)
		return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	case "HS256":
		public, err := x509.MarshalPKIXPublicKey(key.Public())
		mac := hmac.New(sha256.New, public)
		mac.Write(input)
		return mac.Sum(nil), err
	case "none":
		return nil, nil
	default:
		return nil, fmt.Errorf("nothing here signs with %v", alg)
	}
}
