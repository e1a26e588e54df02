/* How sums become results: scaled, then stored, added or cut at zero; never beyond the last column. */

#define PANEL (2 * LANES)

typedef enum { STORE, ADD, RELU } Finish;

INLINE void put(float *to, Vector value, int columns, Finish finish)
{
    float part[LANES];
    if (finish == RELU)
        value = larger(value, (Vector){0});
    if (columns >= LANES) {
        store(to, finish == ADD ? load(to) + value : value);
        return;
    }
    store(part, value);
    for (int column = 0; column < columns; column++)
        to[column] = finish == ADD ? to[column] + part[column] : part[column];
}

INLINE void put_panel(float *to, Vector one, Vector other, float scale, int columns, Finish finish)
{
    put(to, one * scale, columns, finish);
    if (columns > LANES)
        put(to + LANES, other * scale, columns - LANES, finish);
}
