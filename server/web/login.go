package web

import (
	"net/http"
	"slices"
)

// entrance is what the page for logging in shows.
type entrance struct {
	// To is where to go afterwards.
	To string
	// Refused says that a token was not known.
	Refused bool
}

// destinationOf returns the page that a value names, the front page for anything else: nobody is sent elsewhere.
func destinationOf(value string) string {
	if slices.Contains([]string{"/live", "/drift", "/modeller", "/soeg"}, value) {
		return value
	}
	return "/"
}

func (p *Pages) loginPage(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, r, "login", entrance{To: destinationOf(r.URL.Query().Get("til"))})
}

// login begins a session with a token.
func (p *Pages) login(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	to := destinationOf(r.PostFormValue("til"))
	if err := p.guard.LogIn(w, r, r.PostFormValue("token")); err != nil {
		f := failureOf(err)
		if f.status != http.StatusUnauthorized {
			return err
		}
		v := p.view(w, r)
		v.Body = entrance{To: to, Refused: true}
		p.write(w, r, f.status, "login", v)
		return nil
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// logout ends the session.
func (p *Pages) logout(w http.ResponseWriter, r *http.Request) error {
	p.guard.LogOut(w, r)
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}
