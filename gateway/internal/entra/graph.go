package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A token lists 200 groups at most. Whose groups are more is asked about at
// Microsoft Graph, with the person's own access token and the permission
// User.Read, which needs no administrator. The address in the token
// (_claim_sources) is never called: it names an API that is retired, and whoever
// could change a token could send the gateway anywhere.

const (
	// scopeGraph is what the groups of the person themselves need.
	scopeGraph = "User.Read"
	// graphPageSize is the most that Graph gives at once, and maxGraphPages how
	// often it is asked: nobody is in 50,000 groups.
	graphPageSize = 999
	maxGraphPages = 50
)

// parseGraph reads where Microsoft Graph is.
func parseGraph(raw string, allowHTTP bool) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(strings.ToLower(raw), "/"))
	switch {
	case err != nil, u.Hostname() == "", u.String() != u.Scheme+"://"+u.Host:
		return nil, errors.New("the URL of Microsoft Graph is not scheme and host alone: use one like https://graph.microsoft.com")
	case u.Scheme != "https" && (u.Scheme != "http" || !allowHTTP || !isLoopback(u.Hostname())):
		return nil, fmt.Errorf("the URL of Microsoft Graph, %s, is not https, without which anybody on the way could read access tokens", u)
	}
	return u, nil
}

// memberships returns which of the groups that matter the person is in, directly
// or through other groups.
func (p *Provider) memberships(ctx context.Context, bearer string) ([]string, error) {
	next := p.graph.String() + "/v1.0/me/transitiveMemberOf/microsoft.graph.group?" +
		url.Values{"$select": {"id"}, "$top": {fmt.Sprint(graphPageSize)}}.Encode()
	var found []string
	for range maxGraphPages {
		page, err := p.graphPage(ctx, next, bearer)
		if err != nil {
			return nil, err
		}
		for _, group := range page.Value {
			if id := strings.ToLower(group.ID); slices.Contains(p.groups, id) && !slices.Contains(found, id) {
				found = append(found, id)
			}
		}
		if page.Next == "" {
			return found, nil
		}
		if u, err := url.Parse(page.Next); err != nil || u.Scheme != p.graph.Scheme || u.Host != p.graph.Host || u.User != nil {
			// The access token goes there.
			return nil, errors.New("the next page of Microsoft Graph is on another host")
		}
		next = page.Next
	}
	return nil, fmt.Errorf("the groups take more than %d pages", maxGraphPages)
}

// graphPage is one page of a list of groups.
type graphPage struct {
	Value []struct {
		ID string `json:"id"`
	} `json:"value"`
	Next string `json:"@odata.nextLink"`
}

func (p *Provider) graphPage(ctx context.Context, address, bearer string) (graphPage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return graphPage{}, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, body, err := p.roundTrip(req)
	if err != nil {
		return graphPage{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return graphPage{}, graphRefusal(resp.StatusCode, body)
	}
	var page struct {
		graphPage
		// Without it the answer is somebody else's.
		Value *json.RawMessage `json:"value"`
	}
	if len(body) > maxBody || json.Unmarshal(body, &page) != nil || page.Value == nil || json.Unmarshal(*page.Value, &page.graphPage.Value) != nil {
		return graphPage{}, errors.New("the answer of Microsoft Graph is no list")
	}
	return page.graphPage, nil
}

// graphRefusal reads an error of Graph's. Only its code and its id go on.
func graphRefusal(status int, body []byte) error {
	var answer struct {
		Error struct {
			Code  string `json:"code"`
			Inner struct {
				RequestID string `json:"request-id"`
			} `json:"innerError"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &answer) // a body that is no JSON leaves it empty
	code := answer.Error.Code
	if !graphCode.MatchString(code) {
		code = codeUnrecognized
	}
	return fmt.Errorf("the answer of Microsoft Graph is %d %s, request %q", status, code, firstGUID(answer.Error.Inner.RequestID))
}

// resolveGroups asks Graph for the groups that did not fit into the token, if any
// matter. Without an answer they stay unknown, and a rule about groups denies.
func (p *Provider) resolveGroups(ctx context.Context, in *SignIn, bearer string) {
	if !in.GroupsUnknown || len(p.groups) == 0 {
		return
	}
	groups, err := p.memberships(ctx, bearer)
	if err != nil {
		in.Incomplete = true
		p.logger.WarnContext(ctx, "Microsoft Graph did not say which groups somebody is in, so that rules about groups do not allow them anything",
			slog.String("tenant", in.Tenant), slog.String("object", in.Object), slog.Any("error", err))
		return
	}
	in.Groups, in.GroupsUnknown = groups, false
}
