package producers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"jobstrom/schemas"
)

// maxLine bounds one line: a text at its limit, escaped.
const maxLine = 8 << 20

func readJSONL(in io.Reader, each func(line int, v *schemas.Vacancy, err error) error) error {
	reader := bufio.NewReaderSize(in, 1<<16)
	for line := 1; ; line++ {
		value, tooLong, err := readLine(reader)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		done := errors.Is(err, io.EOF)
		value = bytes.TrimSpace(bytes.TrimPrefix(value, []byte("\ufeff")))
		switch {
		case tooLong:
			err = each(line, nil, fmt.Errorf("%w vacancy: the line has more than %d bytes", schemas.ErrMalformed, maxLine))
		case len(value) > 0:
			v := &schemas.Vacancy{}
			err = each(line, v, schemas.Decode(schemas.JSON, value, v))
		default:
			err = nil
		}
		if err != nil || done {
			return err
		}
	}
}

// readLine returns a line; of one that is too long it returns nothing, but reads it to its end.
func readLine(r *bufio.Reader) (line []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			line, tooLong = nil, true
		}
		if !tooLong {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}
