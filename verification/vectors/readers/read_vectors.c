/* Read the certified vectors, and compare answers with them: cc read_vectors.c -lm; ./a.out FOLDER */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { MOST = 4096 };
static double C[MOST], h[MOST], eps, mid, rad, tolerance;

static int entries(FILE *file) {  /* in an array: the product of its axes, which stand before them */
    int axes = 0, length = 0, product = 1;
    fscanf(file, "%d", &axes);
    while (axes-- > 0 && fscanf(file, "%d", &length) == 1) product *= length;
    return product <= MOST ? product : (printf("%d numbers in an array: raise MOST\n", product), exit(1), 0);
}

static double softmin(const double *row, int m) {  /* under test: -eps log sum_j exp((h_j - c_j) / eps) */
    double top = -INFINITY, sum = 0;
    for (int j = 0; j < m; j++) top = fmax(top, (h[j] - row[j]) / eps);
    for (int j = 0; j < m; j++) sum += exp((h[j] - row[j]) / eps - top);
    return -eps * (top + log(sum));
}

int main(int count, char **arguments) {
    char path[MOST], word[64], name[64];  /* of a line: "case ID", "in NAME ...", "out NAME ..." */
    snprintf(path, sizeof path, "%s/text/softmin.txt", count > 1 ? arguments[1] : ".");
    FILE *file = fopen(path, "r");
    int all = 0, right = 0, m = file ? 0 : (printf("no file %s: give FOLDER\n", path), exit(2), 0);
    while (fscanf(file, "%63s %63s", word, name) == 2) {
        if (!strcmp(word, "case")) continue;
        int size = entries(file), good = size > 0;
        double *to = !strcmp(name, "C") ? C : !strcmp(name, "h") ? (m = size, h) : &eps;
        for (int k = 0; k < size && !strcmp(word, "in"); k++) fscanf(file, "%lf", &to[k]);
        if (strcmp(word, "out")) continue;
        fscanf(file, "%lf", &tolerance);
        for (int k = 0; k < size && fscanf(file, "%lf %lf", &mid, &rad) == 2; k++)  /* nan: nothing due */
            good &= isnan(mid) || fabs(softmin(C + k * m, m) - mid) <= rad + tolerance;
        all++, right += good;
    }
    return printf("%d of %d right\n", right, all) < 0 || right != all || !all;
}
