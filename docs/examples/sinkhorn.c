/* Entropic optimal transport, as a program for `refot verify --command ./sinkhorn`.

   cc -O2 -std=c11 -D_POSIX_C_SOURCE=200809L sinkhorn.c -o sinkhorn -lm

   It reads one request a line and answers each with one line. No library: the reader below knows
   the part of JSON that requests are written in (docs/any-language.md), and no more. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- reading and writing */
typedef struct { double *at; size_t rows, size; } Array; /* size numbers in rows lists */

/* The number, vector or matrix behind "name": in a line, or nothing where there is none. */
static Array argument(const char *line, const char *name) {
    Array found = {malloc(strlen(line) * sizeof(double)), 0, 0};
    char key[32];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *p = strstr(line, key);
    if (p == NULL) return found;
    p += strlen(key);
    int depth = 0;
    do {
        if (*p == '[') depth++, p++;
        else if (*p == ']') depth--, found.rows++, p++;
        else if (*p == ',' || *p == '"') p++; /* numbers that are not finite are strings */
        else {
            char *end;
            found.at[found.size++] = strtod(p, &end);
            if (end == p) exit(2); /* no number */
            p = end;
        }
    } while (depth > 0 && *p != '\0');
    if (found.rows > 1) found.rows--; /* the bracket around the rows */
    return found;
}

static void put_number(double x) {
    if (isfinite(x)) printf("%.17g", x);
    else printf(isnan(x) ? "\"nan\"" : x > 0 ? "\"inf\"" : "\"-inf\"");
}

static void put_vector(const double *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        putchar(i == 0 ? '[' : ',');
        put_number(x[i]);
    }
    putchar(']');
}

/* ---------------------------------------------------------------- the solver */
typedef struct { size_t n, m; const double *C, *a, *b; double eps, *f, *g, *P; } Problem;

/* f_i = -eps log sum_j b_j exp((g_j - C_ij) / eps), shifted so that nothing overflows. */
static void transform_rows(Problem *p) {
    for (size_t i = 0; i < p->n; i++) {
        const double *C = p->C + i * p->m;
        double most = -INFINITY, sum = 0;
        for (size_t j = 0; j < p->m; j++)
            if (p->b[j] > 0) most = fmax(most, p->g[j] - C[j]);
        for (size_t j = 0; j < p->m; j++)
            if (p->b[j] > 0) sum += p->b[j] * exp((p->g[j] - C[j] - most) / p->eps);
        p->f[i] = -most - p->eps * log(sum);
    }
}

/* g_j = -eps log sum_i a_i exp((f_i - C_ij) / eps). */
static void transform_columns(Problem *p) {
    for (size_t j = 0; j < p->m; j++) {
        double most = -INFINITY, sum = 0;
        for (size_t i = 0; i < p->n; i++)
            if (p->a[i] > 0) most = fmax(most, p->f[i] - p->C[i * p->m + j]);
        for (size_t i = 0; i < p->n; i++)
            if (p->a[i] > 0) sum += p->a[i] * exp((p->f[i] - p->C[i * p->m + j] - most) / p->eps);
        p->g[j] = -most - p->eps * log(sum);
    }
}

/* The plan; its rows sum to a after transform_rows. Returns the L1 error of its columns. */
static double plan(Problem *p, double *missing) {
    memcpy(missing, p->b, p->m * sizeof(double));
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->m; j++) {
            size_t k = i * p->m + j;
            double mass = p->a[i] * p->b[j];
            p->P[k] = mass > 0 ? mass * exp((p->f[i] + p->g[j] - p->C[k]) / p->eps) : 0;
            missing[j] -= p->P[k];
        }
    double error = 0;
    for (size_t j = 0; j < p->m; j++) error += fabs(missing[j]);
    return error;
}

/* x with H x = y, by Gauss elimination without pivots: H (m, m) is positive, with a small ridge. */
static void eliminate(double *H, double *y, size_t m) {
    for (size_t k = 0; k < m; k++)
        for (size_t i = k + 1; i < m; i++) {
            double t = H[i * m + k] / H[k * m + k];
            for (size_t j = k; j < m; j++) H[i * m + j] -= t * H[k * m + j];
            y[i] -= t * y[k];
        }
    for (size_t k = m; k-- > 0;) {
        for (size_t j = k + 1; j < m; j++) y[k] -= H[k * m + j] * y[j];
        y[k] /= H[k * m + k];
    }
}

/* One step of Newton's method for g, of at most log(1 + length) in units of eps. */
static void newton(Problem *p, double *missing, double *H) {
    size_t m = p->m;
    memset(H, 0, m * m * sizeof(double));
    for (size_t j = 0; j < m; j++)
        H[j * m + j] = (p->b[j] - missing[j]) * (1 + 1e-10) + 1e-14;
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < m; j++)
            if (p->P[i * m + j] > 0)
                for (size_t k = 0; k < m; k++)
                    H[j * m + k] -= p->P[i * m + j] * p->P[i * m + k] / p->a[i];
    eliminate(H, missing, m);
    double length = 0;
    for (size_t j = 0; j < m; j++) length = fmax(length, fabs(missing[j]));
    if (length == 0) return;
    for (size_t j = 0; j < m; j++) p->g[j] += p->eps * missing[j] * log1p(length) / length;
}

/* Potentials and plan at eps, which is come down to by halves. Returns whether they converged. */
static int solve(Problem *p) {
    double eps = p->eps, least = p->C[0], most = p->C[0], error = INFINITY;
    for (size_t k = 0; k < p->n * p->m; k++) {
        if (!isfinite(p->C[k])) return 0;
        least = fmin(least, p->C[k]), most = fmax(most, p->C[k]);
    }
    double *missing = malloc(p->m * sizeof(double)), *H = malloc(p->m * p->m * sizeof(double));
    for (p->eps = fmax(most - least, eps);; p->eps = fmax(p->eps / 2, eps)) {
        double allowed = p->eps > eps ? 1e-3 : 1e-9;
        for (int k = 0; k < 200; k++) {
            transform_rows(p);
            if ((error = plan(p, missing)) <= allowed) break;
            if (k % 2) newton(p, missing, H);
            else transform_columns(p);
        }
        if (p->eps == eps) break;
    }
    free(missing), free(H);
    return error <= 1e-9;
}

/* ---------------------------------------------------------------- the answers */
static double transport_cost(const Problem *p) {
    double sum = 0;
    for (size_t k = 0; k < p->n * p->m; k++) sum += p->P[k] * p->C[k];
    return sum;
}

/* KL(P | a (x) b). */
static double information(const Problem *p) {
    double sum = 0;
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->m; j++)
            sum += p->P[i * p->m + j] * (p->f[i] + p->g[j] - p->C[i * p->m + j]) / p->eps;
    return sum;
}

static double value(const Problem *p) {
    return transport_cost(p) + p->eps * information(p);
}

static void normalise(Array weights) { /* float32 weights sum to 1 in float32 only */
    double sum = 0;
    for (size_t k = 0; k < weights.size; k++) sum += weights.at[k];
    for (size_t k = 0; k < weights.size; k++) weights.at[k] /= sum;
}

/* Whether there is anything to solve: shapes that fit, weights >= 0, and 0 < eps < infinity. */
static int sound(Array C, Array a, Array b, Array eps) {
    for (size_t k = 0; k < a.size; k++) if (!(a.at[k] >= 0)) return 0;
    for (size_t k = 0; k < b.size; k++) if (!(b.at[k] >= 0)) return 0;
    if (eps.size != 1 || !(*eps.at > 0) || !isfinite(*eps.at)) return 0; /* "nan" has no size */
    return C.size > 0 && C.rows == a.size && C.size == a.size * b.size;
}

static void answer_problem(const char *line, const char *capability) {
    Array C = argument(line, "C"), a = argument(line, "a"), b = argument(line, "b");
    Array eps = argument(line, "eps");
    int solved = sound(C, a, b, eps);
    if (!solved) printf("\"error\":\"bad input\"");
    normalise(a), normalise(b);
    Problem p = {a.size, b.size, C.at, a.at, b.at, solved ? *eps.at : 0, calloc(a.size, sizeof(double)),
                 calloc(b.size, sizeof(double)), calloc(C.size, sizeof(double))};
    if (solved && !(solved = solve(&p))) printf("\"error\":\"not converged\"");
    if (solved) printf("\"result\":");
    if (solved && strcmp(capability, "plan") == 0)
        for (size_t i = 0; i < p.n; i++) {
            putchar(i == 0 ? '[' : ',');
            put_vector(p.P + i * p.m, p.m);
            if (i + 1 == p.n) putchar(']');
        }
    if (solved && strcmp(capability, "potentials") == 0) {
        putchar('['), put_vector(p.f, p.n), putchar(','), put_vector(p.g, p.m), putchar(']');
    }
    if (solved && strcmp(capability, "value") == 0) put_number(value(&p));
    if (solved && strcmp(capability, "transport_cost") == 0) put_number(transport_cost(&p));
    free(C.at), free(a.at), free(b.at), free(eps.at), free(p.f), free(p.g), free(p.P);
}

int main(int count, char **words) { /* sinkhorn [IN OUT]: else standard input and output */
    if (count == 3 && (!freopen(words[1], "r", stdin) || !freopen(words[2], "w", stdout))) return 2;
    char *line = NULL, capability[32];
    size_t room = 0;
    long id;
    while (getline(&line, &room, stdin) > 0) {
        if (sscanf(line, "{\"id\":%ld,\"capability\":\"%31[a-z_]\"", &id, capability) != 2) return 2;
        printf("{\"id\":%ld,", id);
        if (strcmp(capability, "capabilities") == 0)
            printf("\"result\":{\"name\":\"sinkhorn.c\",\"version\":\"1\",\"capabilities\":"
                   "[\"plan\",\"potentials\",\"value\",\"transport_cost\"]}");
        else answer_problem(line, capability);
        puts("}");
        fflush(stdout); /* the answer is waited for */
    }
    free(line);
    return 0;
}
