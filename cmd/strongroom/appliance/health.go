package appliance

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// healthTimeout bounds the look at a token.
const healthTimeout = 3 * time.Second

// adminHandler serves /healthz (the process answers), /readyz (calls can be served) and /metrics.
func (a *Appliance) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if problems := a.problems(r.Context()); len(problems) > 0 {
			answer(w, http.StatusServiceUnavailable, strings.Join(problems, "\n"))
			return
		}
		answer(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", a.metrics.Handler())
	return mux
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}

// problems says what keeps calls from being served: a default store's token, the audit log, the database.
func (a *Appliance) problems(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	var out []string
	for _, region := range a.cfg.Regions {
		if err := a.defaults[region].Health(ctx); err != nil {
			out = append(out, fmt.Sprintf("the default store of %s cannot be used: token %s: %v", region, a.cfg.DefaultStores[region], err))
		}
	}
	if err := a.audit.Healthy(); err != nil {
		out = append(out, fmt.Sprintf("the audit log cannot be written, so calls are refused: %v", err))
	}
	if err := a.db.View(ctx, func(tx keystore.Tx) error { _, err := tx.Settings(""); return err }); err != nil {
		out = append(out, fmt.Sprintf("the database cannot be read: %v", err))
	}
	return out
}
