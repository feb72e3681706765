package conformance

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"time"

	"github.com/strongroom/strongroom/xks"
)

// Report is the outcome of a run.
type Report struct {
	Endpoint string    `json:"endpoint"`
	URIPath  string    `json:"uri_path"`
	Started  time.Time `json:"started"`
	Results  []Result  `json:"results"`
}

// Count counts the results with a status.
func (r *Report) Count(s Status) int {
	n := 0
	for _, result := range r.Results {
		if result.Status == s {
			n++
		}
	}
	return n
}

// Conforms reports whether no MUST was broken.
func (r *Report) Conforms() bool { return r.Count(Failed) == 0 }

// WriteText writes the report for people: what did not pass in full, the rest in a line each, and a verdict.
func (r *Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "XKS proxy %s%s\n", r.Endpoint, r.URIPath)
	section := ""
	for _, result := range r.Results {
		if result.Section != section {
			section = result.Section
			fmt.Fprintf(&b, "\n%s\n", section)
		}
		fmt.Fprintf(&b, "  %-4s  %-6s  %-28s  %s\n", result.Status, result.Level, result.ID, result.Title)
		if result.Detail != "" {
			fmt.Fprintf(&b, "        %s\n", printable(result.Detail))
		}
	}
	verdict := "conforms"
	if !r.Conforms() {
		verdict = "does not conform"
	}
	fmt.Fprintf(&b, "\n%d passed, %d failed, %d warnings, %d skipped: the proxy %s to the XKS proxy API v1.\n",
		r.Count(Passed), r.Count(Failed), r.Count(Warned), r.Count(Skipped), verdict)
	_, err := w.Write(b.Bytes())
	return err
}

// printable keeps what a proxy said from painting the reader's terminal.
func printable(text string) string { return xks.CleanMessage(text) }

// WriteJSON writes the report as one JSON object, with "conforms" as its verdict.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		*Report
		Conforms bool `json:"conforms"`
	}{r, r.Conforms()})
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Stamp    string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Skipped *junitMessage `xml:"skipped"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
}

// WriteJUnit writes the report as a JUnit test suite. A SHOULD that is not kept is a passed case with output: suites
// know no warnings.
func (r *Report) WriteJUnit(w io.Writer) error {
	suite := junitSuite{
		Name: "XKS proxy API " + r.Endpoint + r.URIPath, Tests: len(r.Results), Failures: r.Count(Failed), Skipped: r.Count(Skipped),
		Stamp: r.Started.Format("2006-01-02T15:04:05"),
	}
	var total time.Duration
	for _, result := range r.Results {
		total += result.Duration
		c := junitCase{Class: result.Section, Name: result.ID + ": " + result.Title, Time: seconds(result.Duration)}
		detail := printable(result.Detail)
		switch result.Status {
		case Failed:
			c.Failure = &junitMessage{Message: detail, Type: string(result.Level)}
		case Skipped:
			c.Skipped = &junitMessage{Message: detail}
		case Warned:
			c.Output = "warning: " + detail
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = seconds(total)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suite); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
