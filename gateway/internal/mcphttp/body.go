package mcphttp

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"mcp-gateway/gateway/internal/access"
)

// checkMedia requires a JSON body.
func checkMedia(header http.Header) *fault {
	mediaType, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset, hasCharset := params["charset"]
	if err != nil || mediaType != "application/json" || hasCharset && !strings.EqualFold(charset, "utf-8") {
		return badRequest("the Content-Type must be application/json").withStatus(http.StatusUnsupportedMediaType)
	}
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return badRequest("the body must not be compressed").withStatus(http.StatusUnsupportedMediaType)
	}
	return nil
}

// accepts reports whether an Accept header (RFC 9110 §12.5.1) allows a media type
// that is within a range. Without the header anything is allowed.
func accepts(accept []string, mediaType, within string) bool {
	if len(accept) == 0 {
		return true
	}
	for _, line := range accept {
		for element := range strings.SplitSeq(line, ",") {
			mediaRange, params, err := mime.ParseMediaType(element)
			if err != nil || mediaRange != mediaType && mediaRange != within && mediaRange != "*/*" {
				continue
			}
			if q, err := strconv.ParseFloat(params["q"], 64); err == nil && q == 0 {
				continue // "a value of 0 means 'not acceptable'"
			}
			return true
		}
	}
	return false
}

// readBody reads the whole body of a message, if it is one that can be taken.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, p *access.Principal) ([]byte, *fault) {
	if f := checkMedia(r.Header); f != nil {
		return nil, f
	}
	if !h.bodies.take(p) {
		return nil, busy
	}
	defer h.bodies.give(p)
	if r.ContentLength > h.cfg.MaxBody {
		return nil, h.tooLarge()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.cfg.MaxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, h.tooLarge()
	}
	if err != nil {
		return nil, badRequest("the body could not be read to its end")
	}
	return body, nil
}

func (h *Handler) tooLarge() *fault {
	return badRequest(fmt.Sprintf("the body is larger than %d bytes", h.cfg.MaxBody)).withStatus(http.StatusRequestEntityTooLarge)
}
