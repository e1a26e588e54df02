/* The nearest of a few hundred centres to each of many points, in one thread: products of a block of rows
   with the packed centres, then the smallest of |centre|^2 - 2 <point, centre> of each row. */

#define NEAREST_ROWS (8 * TILE_ROWS)

/* Place of the smallest value; the lower place wins a tie. `products` and `offset` end in spare lanes, and
   `offset` is infinite there. */
INLINE int smallest_offset(const float *offset, const float *products, int count, float *smallest)
{
    Vector best = spread(INFINITY);
    Lanes place = {0}, now;
    for (int lane = 0; lane < LANES; lane++)
        now[lane] = lane;
    for (int at = 0; at < count; at += LANES, now += LANES) {
        const Vector value = load(offset + at) - 2.0f * load(products + at);
        const Lanes less = value < best;
        best = choose(less, value, best);
        place = (less & now) | (~less & place);
    }
    int found = place[0];
    *smallest = best[0];
    for (int lane = 1; lane < LANES; lane++)
        if (best[lane] < *smallest || (best[lane] == *smallest && place[lane] < found)) {
            *smallest = best[lane];
            found = place[lane];
        }
    return found;
}

static int nearest(const Points *points)
{
    const int width = points->width, centres = points->num_centres;
    const size_t columns = ((size_t)centres + LANES - 1) / LANES * LANES;
    Buffer panels = {0}, offsets = {0}, products = {0}, left = {0};
    float *packed = reserve(&panels, packed_size(width, centres), sizeof(float));
    float *offset = reserve(&offsets, columns, sizeof(float));
    float *product = reserve(&products, NEAREST_ROWS * columns, sizeof(float));
    const int ready = packed && offset && product && reserve_left(&left, NEAREST_ROWS, width);
    if (ready) {
        const Matrix matrix = pack(packed, points->centres, width, centres, 1, width, NULL);
        TileShape before;
        begin_products(&before);
        for (size_t at = 0; at < columns; at++)
            offset[at] = at < (size_t)centres ? points->offset[at] : INFINITY;
        for (int64_t first = 0; first < points->count; first += NEAREST_ROWS) {
            const int64_t rest = points->count - first;
            const int rows = rest < NEAREST_ROWS ? rest : NEAREST_ROWS;
            multiply(&left, rows, points->points + first * width, width, &matrix, product, columns, NULL, STORE);
            for (int row = 0; row < rows; row++)
                points->nearest[first + row] =
                    smallest_offset(offset, product + row * columns, columns, points->gap + first + row);
        }
        end_products(&before);
    }
    discard(&panels), discard(&offsets), discard(&products), discard(&left);
    return ready ? STATUS_DONE : STATUS_NO_MEMORY;
}
