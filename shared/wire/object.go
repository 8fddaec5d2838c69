package wire

import "unicode/utf8"

// CheckObject reports whether data is one JSON object that every parser reads
// alike, as strictly as Parse does a message. It is for documents that are no
// messages and are decoded by encoding/json, which takes the last of two equal
// keys and folds case; acted are the keys that the caller then acts upon. The
// error is an *Error.
func CheckObject(data []byte, acted ...string) error {
	if !utf8.Valid(data) {
		return &Error{CodeParse, "the document is not valid UTF-8"}
	}
	s := scanner{data: data, document: acted}
	if s.space(); s.peek() != '{' {
		s.refuse("the document is not an object")
	}
	if err := s.value(levelDocument, 0); err != nil {
		return err
	}
	if s.space(); s.pos != len(data) {
		return s.syntax("there is data after the document")
	}
	if s.refusal != "" {
		return &Error{CodeInvalidRequest, s.refusal}
	}
	return nil
}
