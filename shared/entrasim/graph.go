package entrasim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// graphPage is how many objects a page of Graph has at most here. It is the
// server's choice, whatever $top asks for.
const graphPage = 100

// graphParameters are the query options that the simulated Graph understands.
var graphParameters = []string{"$select", "$top", "$skiptoken", "$count"}

// graphError is the body of an error of Microsoft Graph.
type graphError struct {
	Error struct {
		Code       string `json:"code"`
		Message    string `json:"message"`
		InnerError struct {
			Date      string `json:"date"`
			RequestID string `json:"request-id"`
			ClientID  string `json:"client-request-id"`
		} `json:"innerError"`
	} `json:"error"`
}

// grantAccess remembers an access token for Graph.
func (s *Sim) grantAccess(token string, in signIn, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	maps.DeleteFunc(s.access, func(_ string, a graphAccess) bool { return now.After(a.until) })
	s.access[token] = graphAccess{user: in.user, scopes: in.scopes, until: until}
}

// graphAccess is what an access token for Graph allows.
type graphAccess struct {
	user   *User
	scopes []string
	until  time.Time
}

// onGraph answers for the person whom a bearer token speaks for (delegated
// permission User.Read, and if there are more one of those).
func (s *Sim) onGraph(answer func(http.ResponseWriter, *http.Request, *User), more ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if o, ok := s.take(graphEndpoint); ok {
			s.divertGraph(w, r, o)
			return
		}
		bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		a, known := s.access[bearer]
		s.mu.Unlock()
		switch {
		case !known || !s.now().Before(a.until):
			writeGraphError(w, r, http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
		case !slices.Contains(a.scopes, "User.Read"),
			len(more) > 0 && !slices.ContainsFunc(more, func(one string) bool { return slices.Contains(a.scopes, one) }):
			writeGraphError(w, r, http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
		default:
			answer(w, r, a.user)
		}
	}
}

// divertGraph answers with a planned outcome, in the shape of Graph's errors.
func (s *Sim) divertGraph(w http.ResponseWriter, r *http.Request, o Outcome) {
	switch {
	case o.NextLink != "":
		writeJSON(w, r, http.StatusOK, map[string]any{"@odata.nextLink": o.NextLink, "value": []any{}})
	case o.Fault != 0:
		o.Fault.happen(w, r, []byte(`{"value":[{"id":"`))
	default:
		if o.Claims != "" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="insufficient_claims", claims="`+o.Claims+`"`)
		}
		writeGraphError(w, r, max(o.Status, http.StatusBadRequest), o.Error, o.Description)
	}
}

func writeGraphError(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	var body graphError
	body.Error.Code, body.Error.Message = code, message
	body.Error.InnerError.Date, body.Error.InnerError.RequestID, body.Error.InnerError.ClientID = traceOf(r).at.UTC().Format("2006-01-02T15:04:05"), traceOf(r).id, traceOf(r).id
	writeJSON(w, r, status, body)
}

// me is the person (GET /me).
func (s *Sim) me(w http.ResponseWriter, r *http.Request, u *User) {
	writeJSON(w, r, http.StatusOK, map[string]any{
		"@odata.context": s.authorityURL(r) + "/v1.0/$metadata#users/$entity",
		"id":             u.ObjectID, "displayName": u.Name, "userPrincipalName": u.Username, "mail": optionalText(u.Email),
		"givenName": nil, "surname": nil, "jobTitle": nil, "businessPhones": []string{},
	})
}

func optionalText(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// memberOf lists the groups of the person, directly and through others, page by
// page (GET /me/transitiveMemberOf/microsoft.graph.group).
func (s *Sim) memberOf(w http.ResponseWriter, r *http.Request, u *User) {
	q := r.URL.Query()
	for name := range q {
		if !slices.Contains(graphParameters, name) {
			s.violate(r, "graph: unknown parameter "+strconv.Quote(name))
			writeGraphError(w, r, http.StatusBadRequest, "BadRequest", "The query is not understood.")
			return
		}
	}
	from, err := strconv.Atoi(q.Get("$skiptoken"))
	if q.Get("$skiptoken") != "" && (err != nil || from < 0 || from > len(u.Groups)) {
		writeGraphError(w, r, http.StatusBadRequest, "Directory_ExpiredPageToken", "The specified page token value has expired.")
		return
	}
	size := graphPage
	if top, err := strconv.Atoi(q.Get("$top")); err == nil && top > 0 {
		size = min(size, top)
	}
	to := min(from+size, len(u.Groups))
	page := make([]map[string]string, 0, size)
	for _, id := range u.Groups[from:to] {
		page = append(page, map[string]string{"@odata.type": "#microsoft.graph.group", "id": id})
	}
	answer := map[string]any{"@odata.context": s.authorityURL(r) + "/v1.0/$metadata#groups(id)", "value": page}
	if to < len(u.Groups) {
		q.Set("$skiptoken", strconv.Itoa(to))
		answer["@odata.nextLink"] = s.authorityURL(r) + r.URL.Path + "?" + q.Encode()
	}
	writeJSON(w, r, http.StatusOK, answer)
}

// memberGroups lists them in one answer (POST /me/getMemberGroups and
// /me/getMemberObjects).
func (s *Sim) memberGroups(w http.ResponseWriter, r *http.Request, u *User) {
	var asked struct {
		SecurityEnabledOnly *bool `json:"securityEnabledOnly"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.SecurityEnabledOnly == nil {
		s.violate(r, "graph: the body has no securityEnabledOnly")
		writeGraphError(w, r, http.StatusBadRequest, "Request_BadRequest", "Expected property 'securityEnabledOnly' is not present.")
		return
	}
	writeJSON(w, r, http.StatusOK, map[string]any{
		"@odata.context": s.authorityURL(r) + "/v1.0/$metadata#Collection(Edm.String)", "value": append([]string{}, u.Groups...),
	})
}
